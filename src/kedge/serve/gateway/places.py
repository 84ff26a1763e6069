"""How many answers an account has under way at once, counted over all processes by places that run out by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from kedge.core.usage import Holding
from kedge.serve.gateway.errors import limited

HELD = timedelta(seconds=10)

Hold = Callable[[Holding, datetime], bool]


class Places:
    """The places of one account that this process holds. `hold` asks the ledger, and may block."""

    def __init__(self, account: str, holder: str, limit: int, hold: Hold) -> None:
        self.busy = 0
        self._account = account
        self._holder = holder
        self._limit = limit
        self._hold = hold
        self._held = 0
        self._until = datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()

    async def enter(self, now: datetime) -> None:
        """Take a place until `leave`. 429 if none is free anywhere; what the ledger raises if it cannot be asked."""
        if self.busy >= self._held or now >= self._until:
            async with self._lock:
                await self._widen(now)
        self.busy += 1

    def leave(self) -> None:
        """An answer is finished."""
        self.busy -= 1

    async def renew(self, now: datetime) -> None:
        """Hold on to what is in use, and let go of the rest."""
        async with self._lock:
            if self._held:
                await self._ask(self.busy, now)

    async def _widen(self, now: datetime) -> None:
        if self.busy < self._held and now < self._until:
            return
        generous = min(self._limit, self.busy + 1 + self._limit // 8)
        for wanted in dict.fromkeys((generous, self.busy + 1)):
            if wanted <= self._limit and await self._ask(wanted, now):
                return
        raise limited(
            f"{self._limit} answers at once are under way for this key, which is its limit",
            seconds=1,
            code="concurrency_limit_exceeded",
        )

    async def _ask(self, places: int, now: datetime) -> bool:
        until = now + HELD
        holding = Holding(account=self._account, holder=self._holder, places=places, limit=self._limit, until=until)
        free = await asyncio.to_thread(self._hold, holding, now)
        if free:
            self._held, self._until = places, until
        return free
