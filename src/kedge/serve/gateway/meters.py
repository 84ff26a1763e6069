"""What one process holds of an account: units that it has reserved in the ledger and not used yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from kedge.core.access import Allowance
from kedge.core.settings import Prices
from kedge.core.usage import Granted, Want
from kedge.serve.gateway.windows import Period, Window, window_at

Unit = Literal["requests", "tokens", "money"]

_CHUNKS: Final = 50  # a process reserves this part of a limit at once


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """What one request uses, or may use at most. Money is in millionths, rounded up."""

    tokens: int = 0
    money: int = 0
    estimate: int = 0  # of tokens, for limits by the minute

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """What each meter counts, by its `slot`."""
        return (1, self.estimate, self.tokens, self.money)


def price(prices: Prices, *, read: int, made: int) -> int:
    """What tokens cost, in millionths: prices are for a million tokens."""
    return math.ceil(read * prices.prompt + made * prices.completion)


class Meter:
    """One limit of one account in the window that runs now."""

    __slots__ = (
        "account",
        "headers",
        "left",
        "limit",
        "name",
        "period",
        "rest",
        "since",
        "slot",
        "told",
        "touched",
        "unit",
        "window",
    )

    def __init__(self, account: str, unit: Unit, limit: int, period: Period) -> None:
        self.name = f"{unit}-per-{period}"
        self.account = f"{account}/{self.name}"
        self.unit = unit
        self.limit = limit
        self.period = period
        self.slot = {"requests": 0, "tokens": 1 if period == "minute" else 2, "money": 3}[unit]
        self.window: Window | None = None
        self.left = 0  # reserved here and not used; below 0 when answers used more than was estimated
        self.rest = limit  # what the ledger had left for all when it was last asked
        self.touched = 0.0
        self.since = datetime.min.replace(tzinfo=UTC)  # when this process first saw the window
        self.headers = tuple(f"x-ratelimit-{each}-{unit}".encode() for each in ("limit", "remaining", "reset"))
        self.told = b"%d" % limit

    def turn(self, now: datetime) -> None:
        """Begin the next window if this one is over."""
        if self.window is None or now >= self.window.ends:
            self.window = window_at(now, self.period)
            self.left, self.rest, self.since = 0, self.limit, now

    def need(self, spend: Spend) -> int:
        """How many units a request takes."""
        return spend.amounts[self.slot]

    def want(self, spend: Spend) -> Want:
        """What to reserve so that a request fits: as much as is missing, or a chunk."""
        assert self.window is not None
        least = max(0, self.need(spend) - self.left)
        most = max(least, self.limit // _CHUNKS)
        return Want(
            account=self.account,
            window=self.window.name,
            least=least,
            most=most if least else 0,
            limit=self.limit,
            forget=self.window.forget,
        )

    def take_in(self, window: str, granted: Granted) -> None:
        """Units that were reserved."""
        if self.window is not None and self.window.name == window:
            self.left += granted.units
            self.rest = granted.left

    @property
    def remaining(self) -> int:
        """What is left of the window, as far as this process knows."""
        return max(0, min(self.limit, self.rest + self.left))


def meters_of(account: str, allowance: Allowance) -> list[Meter]:
    """A meter for every limit of an account."""
    units: Mapping[tuple[Unit, Period], int] = {
        ("requests", "minute"): allowance.requests_per_minute,
        ("tokens", "minute"): allowance.tokens_per_minute,
        ("tokens", allowance.period): allowance.tokens,
        ("money", allowance.period): round(allowance.money * 1_000_000),
    }
    return [Meter(account, unit, limit, period) for (unit, period), limit in units.items() if limit]
