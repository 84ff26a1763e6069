"""Makes rows and rejects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from kedge.core.dataset import Reject, Row
from kedge.core.hashing import row_id

DETAIL = 300

QUICK = msgspec.json.Encoder(order="sorted")


def make_row(*, input: str, target: str, source: str, tags: Mapping[str, Any]) -> Row:
    """A row with its id: the digest of everything in it."""
    content = {"input": input, "target": target, "tags": dict(tags)}
    name = row_id(content, source) if has_floats(tags) else _quick_id(content, source)
    return Row(id=name, input=input, target=target, source=source, tags=tags)


def _quick_id(content: Mapping[str, Any], source: str) -> str:
    """`row_id` of what has no floats in it: only these are written differently by a quick encoder."""
    return hashlib.sha256(QUICK.encode([content, source])).hexdigest()[:32]


def has_floats(value: Any) -> bool:
    """Whether a value holds a number with a fraction, a key that is no text, or what only the careful encoder knows."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return False
    if kind is dict:
        return any(type(key) is not str or has_floats(inner) for key, inner in value.items())
    if kind is list or kind is tuple:
        return any(map(has_floats, value))
    return True


def quarantine(source: str, reason: str, detail: str, *, data: bytes | None = None) -> Reject:
    """A reject for what never became a row, with the beginning of its bytes in readable form."""
    if data is not None:
        detail = f"{detail}; the line begins {data[:120].decode('ascii', 'backslashreplace')!r}"
    return Reject(source=source, reason=reason, detail=detail[:DETAIL])


def drop(row: Row, reason: str, detail: str = "") -> Reject:
    """A reject for a row that a cleaning step leaves out."""
    return Reject(source=row.source, reason=reason, detail=detail[:DETAIL], row=row.id)
