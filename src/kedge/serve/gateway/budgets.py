"""What keys and tenants may use: reserved in the ledger by the chunk, so that several processes never use more.

A request is let in when the most that it can cost is reserved; what it did not use is kept for the next, or given back.
Without the ledger nobody with a limit comes in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

import msgspec

from kedge.core.access import Allowance, Key, Terms
from kedge.core.errors import KedgeError
from kedge.core.ledger import Usage
from kedge.core.ports import Clock
from kedge.core.usage import Holding
from kedge.serve.gateway.errors import ApiError, Header, limited
from kedge.serve.gateway.meters import Meter, Spend, meters_of
from kedge.serve.gateway.places import Places

logger = logging.getLogger(__name__)

_TICK = 2.0
_IDLE = 10.0
_PURSES = 4096
_remaining = attrgetter("remaining")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """What one key may use: its own limits and those of its tenant. `counted`: what it uses is limited beyond minutes.

    `told` are the limits by the minute, those of one unit together: of each the narrowest is told to the caller.
    """

    terms: Terms
    meters: tuple[Meter, ...]
    places: tuple[Places, ...]
    counted: bool
    told: tuple[tuple[Meter, ...], ...]

    def headers(self, now: datetime) -> list[Header]:
        """What is left, as clients of the OpenAI API know it."""
        headers: list[Header] = []
        for meters in self.told:
            meter = meters[0] if len(meters) == 1 else min(meters, key=_remaining)
            reset = 0.0 if meter.window is None else max(0.0, (meter.window.ends - now).total_seconds())
            limit, remaining, resets = meter.headers
            headers += ((limit, meter.told), (remaining, b"%d" % meter.remaining), (resets, b"%.3fs" % reset))
        return headers


class Ticket(msgspec.Struct, kw_only=True):
    """What was reserved for one request."""

    purse: Purse
    spend: Spend
    now: datetime

    @property
    def headers(self) -> list[Header]:
        """What is left, for the caller."""
        return self.purse.headers(self.now)


class Budgets:
    """The purses of the keys that were seen. `holder` names this process among all that share the ledger."""

    def __init__(
        self, usage: Usage, *, clock: Clock, holder: str, defaults: Allowance, tenants: Mapping[str, Allowance]
    ) -> None:
        self._usage = usage
        self._clock = clock
        self._holder = holder
        self._defaults = defaults
        self._tenants = tenants
        self._purses: dict[str, Purse] = {}
        self._meters: dict[str, Meter] = {}
        self._places: dict[str, Places] = {}
        self._lock = asyncio.Lock()

    def purse(self, key: Key) -> Purse | None:
        """What a key may use; None if nothing limits it."""
        purse = self._purses.get(key.counted_as)
        if purse is None or (purse.terms is not key.terms and purse.terms != key.terms):
            if len(self._purses) >= _PURSES:
                self._forget()
            purse = self._purses[key.counted_as] = self._make(key)
        return purse if purse.meters or purse.places else None

    async def take(self, purse: Purse, spend: Spend) -> Ticket:
        """Reserve what a request may cost, until `settle`. 429 says when to come again."""
        now = self._clock.now()
        while not _fits(purse, spend, now):
            async with self._lock:
                await self._reserve(purse, spend, now)
        entered: list[Places] = []
        try:
            for places in purse.places:
                await places.enter(now)
                entered.append(places)
        except (ApiError, KedgeError):
            for places in entered:
                places.leave()
            raise
        moment, amounts = time.monotonic(), spend.amounts
        for meter in purse.meters:
            meter.left -= amounts[meter.slot]
            meter.touched = moment
        return Ticket(purse=purse, spend=spend, now=now)

    def settle(self, ticket: Ticket, spent: Spend) -> None:
        """The request is answered: what it did not use is there for others."""
        reserved, used, now = ticket.spend.amounts, spent.amounts, ticket.now
        for meter in ticket.purse.meters:
            if meter.slot and meter.since <= now:  # a request is not given back
                meter.left += reserved[meter.slot] - used[meter.slot]
        for places in ticket.purse.places:
            places.leave()

    async def run(self) -> None:
        """Renew places and give back what is idle, until cancelled."""
        while True:
            await asyncio.sleep(_TICK)
            try:
                await self.tidy()
            except KedgeError as error:
                logger.warning("usage cannot be written", extra={"error": error.message})

    async def tidy(self, *, idle: float = _IDLE) -> None:
        """Renew places, and give back units that nobody has used for so many seconds."""
        now, moment = self._clock.now(), time.monotonic()
        for places in list(self._places.values()):
            await places.renew(now)
        for meter in list(self._meters.values()):
            if meter.left > 0 and moment - meter.touched >= idle and meter.window is not None:
                units, meter.left = meter.left, 0
                await asyncio.to_thread(self._usage.give_back, meter.account, meter.window.name, units)

    async def _reserve(self, purse: Purse, spend: Spend, now: datetime) -> None:
        """Reserve what is missing, all of it or nothing."""
        for meter in purse.meters:
            meter.turn(now)
        wants = [(meter, meter.want(spend)) for meter in purse.meters]
        wants = [(meter, want) for meter, want in wants if want.least]
        if not wants:
            return
        granted = await asyncio.to_thread(self._usage.reserve, [want for _, want in wants])
        for (meter, want), grant in zip(wants, granted, strict=True):
            meter.take_in(want.window, grant)
        for (meter, want), grant in zip(wants, granted, strict=True):
            if grant.units < want.least and grant.left < want.least:
                raise _refusal(purse, meter, now)

    def _make(self, key: Key) -> Purse:
        own, defaults = key.terms.allowance, self._defaults
        own = replace(
            own,
            requests_per_minute=own.requests_per_minute or defaults.requests_per_minute,
            tokens_per_minute=own.tokens_per_minute or defaults.tokens_per_minute,
            streams=own.streams or defaults.streams,
        )
        accounts = {f"key:{key.counted_as}": own}
        if key.tenant in self._tenants:
            accounts[f"tenant:{key.tenant}"] = self._tenants[key.tenant]
        meters = [
            self._meters.setdefault(meter.account, meter)
            for account, allowance in accounts.items()
            for meter in meters_of(account, allowance)
        ]
        places = [
            self._places.setdefault(account, Places(account, self._holder, allowance.streams, self._hold))
            for account, allowance in accounts.items()
            if allowance.streams
        ]
        by_unit: dict[str, list[Meter]] = {}
        for meter in meters:
            if meter.period == "minute":
                by_unit.setdefault(meter.unit, []).append(meter)
        return Purse(
            terms=key.terms,
            meters=tuple(meters),
            places=tuple(places),
            counted=any(meter.period != "minute" for meter in meters),
            told=tuple(map(tuple, by_unit.values())),
        )

    def _hold(self, holding: Holding, at: datetime) -> bool:
        return self._usage.hold(holding, at=at)

    def _forget(self) -> None:
        """Let go of purses, and of meters that hold nothing."""
        self._purses.clear()
        self._meters = {account: meter for account, meter in self._meters.items() if meter.left}
        self._places = {account: places for account, places in self._places.items() if places.busy}


def _fits(purse: Purse, spend: Spend, now: datetime) -> bool:
    """Whether all that a request needs is reserved here."""
    amounts = spend.amounts
    for meter in purse.meters:
        if meter.window is None or now >= meter.window.ends:
            meter.turn(now)
        if meter.left < amounts[meter.slot]:
            return False
    return True


def _refusal(purse: Purse, meter: Meter, now: datetime) -> ApiError:
    assert meter.window is not None
    seconds = (meter.window.ends - now).total_seconds()
    whose = "this key's tenant" if meter.account.startswith("tenant:") else "this key"
    if meter.period == "minute":
        error = limited(
            f"{whose} may use {meter.limit} {meter.unit} a minute", seconds=seconds + 0.5, code="rate_limit_exceeded"
        )
    else:
        error = limited(
            f"{whose} has no {meter.unit} left in this {meter.period}'s budget for such a request",
            seconds=seconds,
            code="insufficient_quota",
        )
    error.headers = (*error.headers, *purse.headers(now))
    return error
