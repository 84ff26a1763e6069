"""Ends requests that take too long. All have the same time, so that one timer is enough for every one of them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from kedge.serve.gateway.errors import TimedOut
from kedge.serve.gateway.exchange import Exchange

UNREAD_SECONDS = 5.0


class Deadlines:
    """Requests under way, oldest first. One that is late is told so; a caller who does not read even that is cut off."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: OrderedDict[Exchange, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, exchange: Exchange) -> None:
        """Time runs for a request."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.seconds
        self._open[exchange] = due
        if self._timer is None:
            self._timer = loop.call_at(due, self._ring)

    def end(self, exchange: Exchange) -> None:
        """It is answered."""
        self._open.pop(exchange, None)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._open:
            exchange, due = next(iter(self._open.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._ring)
                return
            del self._open[exchange]
            exchange.fail(TimedOut(f"the answer took longer than {self.seconds:g} seconds"))
            loop.call_later(UNREAD_SECONDS, exchange.cut)
