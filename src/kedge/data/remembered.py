"""Small tables of what was found out about files, kept in a cache: losing one costs only time."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


def recall(cache: Path, type: Any) -> Any:
    """The table as `dict[str, type]`; an empty one if there is none that can be read."""
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, type])
    except (OSError, msgspec.MsgspecError):
        return {}


def remember(cache: Path, table: Mapping[str, Any]) -> None:
    """Replace the table; a cache that cannot be written is done without."""
    temporary = cache.with_name(f".{cache.name}.{secrets.token_hex(6)}")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(table))
        temporary.replace(cache)
    except OSError:
        temporary.unlink(missing_ok=True)
