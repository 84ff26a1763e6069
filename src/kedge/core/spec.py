"""The name and arguments of something configurable, from which it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
