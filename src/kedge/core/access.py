"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key opens. `admin` opens everything."""

    ASK = "ask"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key as it is kept: never the secret, only its keyed hash."""

    id: str
    name: str
    hash: str
    scopes: tuple[Scope, ...]
    created: datetime
    by: str
    expires: datetime | None = None
    revoked: datetime | None = None

    def opens(self, scope: Scope, now: datetime) -> bool:
        """Whether the key is valid at `now` and has the scope."""
        alive = self.revoked is None and (self.expires is None or now < self.expires)
        return alive and (scope in self.scopes or Scope.ADMIN in self.scopes)
