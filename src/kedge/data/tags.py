"""One spelling for the value of a tag."""

from __future__ import annotations

from typing import Any

from kedge.core.hashing import canonical


def tag_text(value: Any) -> str:
    """The value as canonical JSON, plain texts and numbers without the detour."""
    if type(value) is int:
        return str(value)
    plain = (
        isinstance(value, str) and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
    )
    return f'"{value}"' if plain else canonical(value).decode()
