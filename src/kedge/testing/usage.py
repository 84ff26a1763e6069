"""What accounts use, kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from kedge.core.errors import KedgeError
from kedge.core.usage import Granted, Holding, Used, Want


class MemoryUsage:
    """A `Usage` that several gateways of one process can share. `down` is raised in place of an answer."""

    def __init__(self) -> None:
        self.down: KedgeError | None = None
        self.reserved = 0  # how often it was asked
        self._units: dict[tuple[str, str], int] = {}
        self._places: dict[tuple[str, str], tuple[int, datetime]] = {}
        self._lock = threading.Lock()

    def reserve(self, wants: Sequence[Want]) -> list[Granted]:
        """All of them, or nothing when one has not the least left."""
        self._check()
        with self._lock:
            self.reserved += 1
            left = [max(0, want.limit - self._units.get((want.account, want.window), 0)) for want in wants]
            short = any(rest < want.least for want, rest in zip(wants, left, strict=True))
            units = [0 if short else min(want.most, rest) for want, rest in zip(wants, left, strict=True)]
            for want, granted in zip(wants, units, strict=True):
                key = (want.account, want.window)
                self._units[key] = self._units.get(key, 0) + granted
        return [Granted(units=granted, left=rest - granted) for granted, rest in zip(units, left, strict=True)]

    def give_back(self, account: str, window: str, units: int) -> None:
        """Return units that were not used."""
        self._check()
        with self._lock:
            self._units[account, window] -= units

    def used(self, account: str = "") -> list[Used]:
        """What was taken, by account and window."""
        rows = sorted(self._units.items())
        return [Used(account=a, window=w, units=units) for (a, w), units in rows if account in ("", a)]

    def hold(self, holding: Holding, *, at: datetime) -> bool:
        """Hold places, if they are free."""
        self._check()
        with self._lock:
            held = {k: v for k, v in self._places.items() if k[0] == holding.account and v[1] > at}
            others = sum(places for (_, holder), (places, _) in held.items() if holder != holding.holder)
            if holding.places and others + holding.places > holding.limit:
                return False
            self._places[holding.account, holding.holder] = (holding.places, holding.until)
        return True

    def _check(self) -> None:
        if self.down is not None:
            raise self.down
