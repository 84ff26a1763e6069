"""Who asks: keys by their keyed hash, remembered for a second so that a revocation holds after that."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from kedge.core.access import Key, Scope
from kedge.core.errors import Refused, Unauthenticated
from kedge.core.ports import Clock
from kedge.serve.gateway.exchange import Exchange

_BEARER = re.compile(r"Bearer +(kdg_[A-Za-z0-9_-]{43}) *", re.IGNORECASE)
_REMEMBERED = 4096


class KeyRing:
    """Looks keys up in the ledger through `find`, once a second at most for each. Without a ledger nobody comes in."""

    def __init__(
        self,
        find: Callable[[str], Key | None],
        hash: Callable[[str], str],
        *,
        clock: Clock,
        endpoint: str = "",
        seconds: float = 1.0,
        time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._hash = hash
        self._clock = clock
        self._endpoint = endpoint
        self._seconds = seconds
        self._time = time
        self._known: OrderedDict[str, tuple[float, Key | None]] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Key | None]] = {}

    async def check(self, exchange: Exchange, scope: Scope) -> Key:
        """The caller's key. `Unauthenticated` without a valid one; `Refused` if it does not open this."""
        match = _BEARER.fullmatch(exchange.header(b"authorization"))
        if match is None:
            raise Unauthenticated("an API key is needed: send the header 'Authorization: Bearer kdg_...'")
        return await self.check_secret(match[1], scope)

    async def check_secret(self, secret: str, scope: Scope) -> Key:
        """The key with this secret. `Unauthenticated` if there is none; `Refused` if it does not open this."""
        key = await self._look_up(self._hash(secret))
        now = self._clock.now()
        if key is None or not key.alive(now):
            raise Unauthenticated("this API key is not valid")
        if key.terms.endpoints and self._endpoint not in key.terms.endpoints:
            raise Refused("this API key does not open this endpoint")
        if not key.opens(scope, now):
            raise Refused(f"this API key has no scope {scope}")
        return key

    async def _look_up(self, hash: str) -> Key | None:
        found = self._known.get(hash)
        if found is not None and self._time() - found[0] < self._seconds:
            return found[1]
        asked = self._asked.get(hash)
        if asked is None:
            asked = self._asked[hash] = asyncio.create_task(self._fetch(hash))
        return await asyncio.shield(asked)

    async def _fetch(self, hash: str) -> Key | None:
        at = self._time()  # from before the look-up: a key revoked meanwhile is refused a second after that
        try:
            key = await asyncio.to_thread(self._find, hash)
        finally:
            del self._asked[hash]
        self._known[hash] = (at, key)
        self._known.move_to_end(hash)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return key
