from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kedge.core.audit import GENESIS, AuditRecord, link
from kedge.govern.chain import Damage, verify

START = datetime(2026, 1, 1, tzinfo=UTC)


def make_chain(length: int) -> list[AuditRecord]:
    records: list[AuditRecord] = []
    for seq in range(1, length + 1):
        at, detail = START + timedelta(seconds=seq), {"version": seq}
        before = records[-1].hash if records else GENESIS
        body = {"seq": seq, "at": at, "by": "user:ada", "action": "promote", "subject": "m@production"}
        hashed = link(
            seq=seq, at=at, by="user:ada", action="promote", subject="m@production", detail=detail, before=before
        )
        records.append(AuditRecord(**body, detail=detail, before=before, hash=hashed))  # type: ignore[arg-type]  # one table, many types
    return records


def test_an_untouched_chain_is_whole() -> None:
    report = verify(make_chain(5))

    assert report.whole
    assert (report.records, report.head) == (5, make_chain(5)[-1].hash)


def test_an_empty_chain_is_whole() -> None:
    assert verify([]).whole
    assert verify([]).head == GENESIS


@pytest.mark.parametrize(
    "change", [{"by": "user:eve"}, {"action": "rollback"}, {"detail": {"version": 9}}, {"at": START}, {"subject": "n"}]
)
def test_an_edited_record_is_found(change: dict[str, object]) -> None:
    chain = make_chain(5)
    chain[2] = replace(chain[2], **change)  # type: ignore[arg-type]  # one table, many types

    assert [(b.seq, b.damage) for b in verify(chain).breaks] == [(3, Damage.ALTERED)]


def test_an_edited_record_with_a_fresh_hash_is_found_at_the_next_link() -> None:
    chain = make_chain(5)
    edited = replace(chain[2], by="user:eve")
    fresh = link(
        seq=3, at=edited.at, by=edited.by, action=edited.action, subject=edited.subject, detail=edited.detail,
        before=edited.before,
    )  # fmt: skip
    chain[2] = replace(edited, hash=fresh)

    assert [(b.seq, b.damage) for b in verify(chain).breaks] == [(4, Damage.RELINKED)]


def test_a_deleted_record_is_found() -> None:
    chain = make_chain(5)
    del chain[1:3]

    (found,) = verify(chain).breaks
    assert (found.seq, found.damage, found.text) == (2, Damage.MISSING, "records 2 to 3 missing")


def test_exchanged_records_are_found() -> None:
    chain = make_chain(4)
    chain[1], chain[2] = chain[2], chain[1]

    assert {b.damage for b in verify(chain).breaks} == {Damage.MISSING, Damage.REPEATED}


def test_a_cut_end_is_found_with_a_hash_noted_before() -> None:
    chain = make_chain(5)
    head = chain[-1].hash

    assert verify(chain[:4]).whole
    assert [b.damage for b in verify(chain[:4], head=head).breaks] == [Damage.TRUNCATED]
    assert verify(chain, head=chain[3].hash).whole
