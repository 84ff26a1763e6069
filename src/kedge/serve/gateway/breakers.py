"""When an engine is left alone, and how often a request may be asked again."""

from __future__ import annotations

import time
from collections.abc import Callable

from kedge.serve.gateway.routing import Running

_BURST = 10.0


class Breakers:
    """Circuit breakers of engines: open after so many failures in a row, for so many seconds; then one request tries."""

    def __init__(self, failures: int, seconds: float, *, time: Callable[[], float] = time.monotonic) -> None:
        self.opened = 0
        self._failures = failures
        self._seconds = seconds
        self._time = time
        self._failed: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def allows(self, running: Running) -> bool:
        """Whether the engine may be asked. Of those who wait for a broken one, one at a time is let through."""
        until = self._until.get(running.digest)
        if until is None:
            return True
        now = self._time()
        if now < until:
            return False
        self._until[running.digest] = now + self._seconds
        return True

    def succeeded(self, running: Running) -> None:
        """It answered."""
        if self._failed:
            self._failed.pop(running.digest, None)
            self._until.pop(running.digest, None)

    def failed(self, running: Running) -> None:
        """It did not answer, for a reason of its own."""
        failures = self._failed[running.digest] = self._failed.get(running.digest, 0) + 1
        if failures >= self._failures > 0:
            self.opened += running.digest not in self._until
            self._until[running.digest] = self._time() + self._seconds


class RetryBudget:
    """How many requests may be asked again: a share of all, so that retries never make an overload worse."""

    def __init__(self, share: float) -> None:
        self.spent = 0
        self._share = share
        self._left = _BURST if share else 0.0

    def earn(self) -> None:
        """A request came."""
        self._left = min(_BURST, self._left + self._share)

    def spend(self) -> bool:
        """Whether one may be asked again."""
        if self._left < 1:
            return False
        self._left -= 1
        self.spent += 1
        return True
