"""Who approved which version."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import select

from kedge.core.model import Approval
from kedge.store.ledger.connection import Database, insert_new
from kedge.store.ledger.tables import approvals


class SqlApprovals:
    """Approvals: written once, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, approval: Approval) -> None:
        """Record an approval. The same person's of the same version again changes nothing."""
        with self._database.write() as connection:
            insert_new(connection, approvals, asdict(approval))

    def of(self, model: str, version: int) -> list[Approval]:
        """Every approval of a version, oldest first."""
        wanted = (approvals.c.model == model) & (approvals.c.version == version)
        statement = select(approvals).where(wanted).order_by(approvals.c.at, approvals.c.by)
        with self._database.read() as connection:
            return [Approval(**row._mapping) for row in connection.execute(statement)]
