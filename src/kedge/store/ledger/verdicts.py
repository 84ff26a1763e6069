"""Gates set ahead, and the signed verdicts they gave."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from kedge.core.errors import NotFound
from kedge.core.evaluation import Evidence, Gate, Outcome, Rule
from kedge.core.model import RecordedVerdict
from kedge.store.ledger.connection import Database, insert_new
from kedge.store.ledger.tables import gates, verdicts


class SqlVerdicts:
    """Gates and verdicts: written once, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_gate(self, gate: Gate, *, at: datetime) -> None:
        """Store the rules; storing them again keeps the first time."""
        body = {
            "name": gate.name,
            "rules": [asdict(rule) for rule in gate.rules],
            "requires": [str(each) for each in gate.requires],
            "approvals": gate.approvals,
        }
        with self._database.write() as connection:
            insert_new(connection, gates, {"digest": gate.digest, "body": body, "at": at})

    def gate(self, digest: str) -> tuple[Gate, datetime]:
        """The rules and when they were first stored. `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(select(gates).where(gates.c.digest == digest)).first()
        if row is None:
            raise NotFound(f"there is no gate {digest}", address=digest, hint="kedge run stores it before it trains")
        rules = tuple(Rule(**rule) for rule in row.body["rules"])
        requires = tuple(Evidence(each) for each in row.body.get("requires", ()))
        return Gate(
            name=row.body["name"], rules=rules, requires=requires, approvals=row.body.get("approvals", 0)
        ), row.at

    def add(self, verdict: RecordedVerdict) -> None:
        """Record a verdict. The same verdict again changes nothing."""
        with self._database.write() as connection:
            insert_new(connection, verdicts, asdict(verdict))

    def about(self, bundle: str) -> list[RecordedVerdict]:
        """Every verdict on a bundle, oldest first."""
        statement = select(verdicts).where(verdicts.c.bundle == bundle).order_by(verdicts.c.at, verdicts.c.id)
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(statement)]

    def get(self, id: str) -> RecordedVerdict:
        """`NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(select(verdicts).where(verdicts.c.id == id)).first()
        if row is None:
            raise NotFound(
                f"there is no verdict {id}", address=id, hint="kedge show a model version names its verdicts"
            )
        return _from_row(row)


def _from_row(row: Row[Any]) -> RecordedVerdict:
    return RecordedVerdict(**{**row._mapping, "outcome": Outcome(row.outcome)})
