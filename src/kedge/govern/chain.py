"""Checks the audit chain link by link."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kedge.core.audit import GENESIS, AuditRecord, link


class Damage(StrEnum):
    """What is wrong with a place in the chain."""

    ALTERED = "altered"
    MISSING = "missing"
    REPEATED = "repeated"
    RELINKED = "relinked"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A damaged place: the record's number and what is wrong there, in words."""

    seq: int
    damage: Damage
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What a check found. `head` is the last record's hash: note it elsewhere, and cutting the end is seen too."""

    records: int
    head: str
    breaks: tuple[Break, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether no damage was found."""
        return not self.breaks


def verify(records: Iterable[AuditRecord], *, head: str = "") -> ChainReport:
    """Follow the chain from its first record. With `head`, a hash noted before, that record must be in it."""
    count, last, expected, seen, breaks = 0, GENESIS, 1, False, list[Break]()
    for record in records:
        breaks += _check(record, expected, last)
        count, last, expected = count + 1, record.hash, record.seq + 1
        seen = seen or record.hash == head
    if head and not seen:
        text = f"the record with the noted hash {head} is not in the chain: its end was cut off or written anew"
        breaks.append(Break(seq=expected, damage=Damage.TRUNCATED, text=text))
    return ChainReport(records=count, head=last, breaks=tuple(breaks))


def _check(record: AuditRecord, expected: int, last: str) -> list[Break]:
    found = []
    if record.seq > expected:
        gap = f"record {expected}" if record.seq == expected + 1 else f"records {expected} to {record.seq - 1}"
        found.append(Break(seq=expected, damage=Damage.MISSING, text=f"{gap} missing"))
    elif record.seq < expected:
        text = f"record {record.seq} stands where record {expected} belongs"
        found.append(Break(seq=record.seq, damage=Damage.REPEATED, text=text))
    elif record.before != last:
        text = f"record {record.seq} does not follow record {record.seq - 1}: the link between them was changed"
        found.append(Break(seq=record.seq, damage=Damage.RELINKED, text=text))
    if record.hash != _rehash(record):
        text = f"record {record.seq} is not what was written: its content does not give its hash"
        found.append(Break(seq=record.seq, damage=Damage.ALTERED, text=text))
    return found


def _rehash(record: AuditRecord) -> str:
    return link(
        seq=record.seq,
        at=record.at,
        by=record.by,
        action=record.action,
        subject=record.subject,
        detail=record.detail,
        before=record.before,
    )
