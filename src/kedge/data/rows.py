"""Makes rows and rejects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedge.core.dataset import Reject, Row
from kedge.core.hashing import row_id

DETAIL = 300


def make_row(*, input: str, target: str, source: str, tags: Mapping[str, Any]) -> Row:
    """A row with its id: the digest of everything in it."""
    content = {"input": input, "target": target, "tags": dict(tags)}
    return Row(id=row_id(content, source), input=input, target=target, source=source, tags=tags)


def quarantine(source: str, reason: str, detail: str, *, data: bytes | None = None) -> Reject:
    """A reject for what never became a row, with the beginning of its bytes in readable form."""
    if data is not None:
        detail = f"{detail}; the line begins {data[:120].decode('ascii', 'backslashreplace')!r}"
    return Reject(source=source, reason=reason, detail=detail[:DETAIL])


def drop(row: Row, reason: str, detail: str = "") -> Reject:
    """A reject for a row that a cleaning step leaves out."""
    return Reject(source=row.source, reason=reason, detail=detail[:DETAIL], row=row.id)
