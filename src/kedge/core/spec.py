"""The name and arguments of something configurable, from which it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any

from kedge.core.hashing import digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A step, metric, filter or engine by catalogue name, with JSON-serialisable arguments."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of name and arguments."""
        return digest_of({"name": self.name, "args": dict(self.args)})


def to_plain(value: Any) -> Any:
    """An options object as JSON values, defaults included, so that a spec says everything that decided."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    return sorted(map(to_plain, value)) if isinstance(value, set | frozenset) else value
