"""What a ledger must do with the audit chain."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kedge.core.audit import GENESIS, AuditRecord, link
from kedge.core.errors import Invalid
from kedge.core.ledger import Ledger
from kedge.testing.ledger.make import at


def append(ledger: Ledger, **changes: Any) -> AuditRecord:
    """Append a record of a promotion."""
    facts: dict[str, Any] = {"at": at(), "by": "user:ada", "action": "promote", "subject": "schemas@1", "detail": {}}
    return ledger.audit.append(**{**facts, **changes})


def assert_whole(records: list[AuditRecord]) -> None:
    """Every record follows the one before it, from the first, and has the hash of its fields."""
    before = GENESIS
    for number, record in enumerate(records, 1):
        assert (record.seq, record.before) == (number, before)
        facts = {name: getattr(record, name) for name in ("seq", "at", "by", "action", "subject", "detail", "before")}
        assert record.hash == link(**facts)
        before = record.hash


class AuditConformance:
    """A chain without gaps."""

    def test_records_form_a_chain_from_the_genesis(self, ledger: Ledger) -> None:
        appended = [append(ledger, subject=f"schemas@{n}", at=at(n)) for n in range(5)]
        assert ledger.audit.records() == appended
        assert_whole(appended)

    def test_a_detail_is_hashed_as_it_is_read_back(self, ledger: Ledger) -> None:
        detail = {"bytes": (1, 2.5, 1e300), "by": {10: "ten", 9: "nine"}, "text": "ä\x00 \U0001f512", "none": None}
        append(ledger, detail=detail)
        records = ledger.audit.records()
        assert records[0].detail["by"] == {"10": "ten", "9": "nine"}
        assert_whole(records)

    def test_a_local_time_is_kept_in_utc(self, ledger: Ledger) -> None:
        append(ledger, at=datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))))
        assert ledger.audit.records()[0].at.isoformat() == "2026-07-01T10:00:00+00:00"
        assert_whole(ledger.audit.records())

    def test_records_are_read_in_pages(self, ledger: Ledger) -> None:
        for _ in range(5):
            append(ledger)
        assert [record.seq for record in ledger.audit.records(after=1, limit=3)] == [2, 3, 4]
        assert ledger.audit.records(after=5) == []

    def test_a_detail_that_is_not_json_is_refused_and_leaves_no_gap(self, ledger: Ledger) -> None:
        append(ledger)
        with pytest.raises(Invalid):
            append(ledger, detail={"loss": float("nan")})
        with pytest.raises(Invalid):
            append(ledger, detail={"what": object()})
        append(ledger)
        assert_whole(ledger.audit.records())
