"""The hash-chained record of everything that changed what is in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from kedge.core.audit import GENESIS, AuditRecord, link
from kedge.core.hashing import canonical
from kedge.store.ledger.connection import Database
from kedge.store.ledger.tables import audit, in_utc, row_of


class SqlAudit:
    """The chain: appended to by one writer at a time, in the transaction of what it records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, *, at: datetime, by: str, action: str, subject: str, detail: Mapping[str, Any]) -> AuditRecord:
        """Add a record, in the surrounding transaction. `Invalid` if the detail is not JSON."""
        facts: dict[str, Any] = {
            "at": in_utc(at),
            "by": by,
            "action": action,
            "subject": subject,
            "detail": json.loads(canonical(dict(detail))),  # hashed as it will be read back
        }
        with self._database.write(alone=True) as connection:
            newest = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
            last = connection.execute(newest).first()
            seq, before = (last.seq + 1, last.hash) if last else (1, GENESIS)
            record = AuditRecord(seq=seq, before=before, hash=link(seq=seq, before=before, **facts), **facts)
            connection.execute(insert(audit).values(row_of(audit, record)))
            return record

    def records(self, *, after: int = 0, limit: int = 1000) -> list[AuditRecord]:
        """Records with a greater `seq`, in order."""
        statement = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
        with self._database.read() as connection:
            return [AuditRecord(**row._mapping) for row in connection.execute(statement)]
