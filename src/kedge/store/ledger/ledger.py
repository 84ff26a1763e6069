"""All aggregates over one database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kedge.core.ledger import Ledger
from kedge.store.ledger.approvals import SqlApprovals
from kedge.store.ledger.artifacts import SqlArtifacts
from kedge.store.ledger.audit import SqlAudit
from kedge.store.ledger.connection import Database
from kedge.store.ledger.keys import SqlKeys
from kedge.store.ledger.metrics import SqlMetrics
from kedge.store.ledger.models import SqlModels
from kedge.store.ledger.releases import SqlReleases
from kedge.store.ledger.reviews import SqlReviews
from kedge.store.ledger.rollouts import SqlRollouts
from kedge.store.ledger.runs import SqlRuns
from kedge.store.ledger.usage import SqlUsage
from kedge.store.ledger.verdicts import SqlVerdicts


class SqlLedger:
    """The ledger on SQLite or PostgreSQL. Threads may share it; each has its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.runs = SqlRuns(database)
        self.metrics = SqlMetrics(database)
        self.artifacts = SqlArtifacts(database)
        self.models = SqlModels(database)
        self.verdicts = SqlVerdicts(database)
        self.approvals = SqlApprovals(database)
        self.releases = SqlReleases(database)
        self.rollouts = SqlRollouts(database)
        self.keys = SqlKeys(database)
        self.usage = SqlUsage(database)
        self.reviews = SqlReviews(database)
        self.audit = SqlAudit(database)

    @contextmanager
    def begin(self) -> Iterator[Ledger]:
        """One transaction for what this thread does with the ledger inside the block; writers wait for each other.

        A block inside a block belongs to the outer one's transaction; when the inner one raises, only it is undone.
        """
        with self._database.transaction():
            yield self

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()
