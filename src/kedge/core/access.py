"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from kedge.core.errors import Invalid


class Scope(StrEnum):
    """What a key opens. `admin` opens everything."""

    ASK = "ask"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much may be used: 0 is no limit of its own.

    Requests and tokens are counted by the minute and `streams` at any moment. `tokens` and `money` are a budget for each
    `period` (UTC), money in the currency of the endpoints' prices.
    """

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    streams: int = 0
    tokens: int = 0
    money: float = 0.0
    period: Literal["day", "month"] = "month"

    def __post_init__(self) -> None:
        amounts = (self.requests_per_minute, self.tokens_per_minute, self.streams, self.tokens, self.money)
        if not all(0 <= amount <= 10**15 for amount in amounts):
            raise Invalid("an allowance is not negative, and at most 10^15", hint="0 is no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a key is limited to: whose it is, the endpoints and models it opens (none named: all), and its allowance."""

    tenant: str = ""
    endpoints: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    allowance: Allowance = field(default_factory=Allowance)

    def opens_model(self, model: str) -> bool:
        """Whether a model, as `name` or `name@version`, is among those it opens."""
        return not self.models or model in self.models or model.partition("@")[0] in self.models


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key as it is kept: never the secret, only its keyed hash.

    What it uses is counted under `account`, which a key that replaces it inherits; "" stands for its own id.
    """

    id: str
    name: str
    hash: str
    scopes: tuple[Scope, ...]
    created: datetime
    by: str
    expires: datetime | None = None
    revoked: datetime | None = None
    terms: Terms = field(default_factory=Terms)
    account: str = ""

    @property
    def tenant(self) -> str:
        """Whose key it is ("" for nobody's in particular)."""
        return self.terms.tenant

    @property
    def counted_as(self) -> str:
        """The account that it uses."""
        return self.account or self.id

    def alive(self, now: datetime) -> bool:
        """Whether the key is valid at `now`."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def opens(self, scope: Scope, now: datetime) -> bool:
        """Whether the key is valid at `now` and has the scope."""
        return self.alive(now) and (scope in self.scopes or Scope.ADMIN in self.scopes)
