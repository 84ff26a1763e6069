"""The hash-chained record of everything that changed who or what is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kedge.core.hashing import digest_of

GENESIS = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Entry `seq` (from 1, without gaps) of the chain; `hash` covers every field and the hash before."""

    seq: int
    at: datetime
    by: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    before: str
    hash: str


def link(*, seq: int, at: datetime, by: str, action: str, subject: str, detail: Mapping[str, Any], before: str) -> str:
    """The hash of an audit record over all its fields and the hash of the record before it."""
    return digest_of([seq, at.isoformat(), by, action, subject, dict(detail), before])
