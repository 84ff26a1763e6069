"""How much at once: requests under way, and requests a minute by key."""

from __future__ import annotations

import time
from collections.abc import Callable

from kedge.core.access import Key
from kedge.core.settings import GatewaySettings
from kedge.serve.gateway.errors import limited

_MINUTE = 60.0


class Limits:
    """Lets requests in, or says when to come again."""

    def __init__(self, settings: GatewaySettings, *, time: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.under_way = 0
        self._time = time
        self._allowances: dict[str, tuple[float, float]] = {}  # key -> (requests left, when that was counted)

    def enter(self, key: Key) -> None:
        """A request under way, until `leave`. 429 if there are too many, or the key has used up its minute."""
        if self.under_way >= self.settings.max_waiting:
            raise limited(
                f"{self.under_way} requests are under way, which is the limit", seconds=1, code="too_many_requests"
            )
        self._spend(key)
        self.under_way += 1

    def leave(self) -> None:
        """One of them is answered."""
        self.under_way -= 1

    def _spend(self, key: Key) -> None:
        """Take one request from an allowance that refills evenly, up to a minute's worth."""
        most = self.settings.requests_per_minute
        if not most:
            return
        now = self._time()
        left, counted = self._allowances.get(key.id, (float(most), now))
        left = min(float(most), left + (now - counted) * most / _MINUTE)
        if left < 1:
            seconds = (1 - left) * _MINUTE / most
            raise limited(
                f"this key may send {most} requests a minute", seconds=seconds + 0.5, code="rate_limit_exceeded"
            )
        self._allowances[key.id] = (left - 1, now)
