"""Listens, and answers on every connection; stops in good order."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any

from kedge.core.trace import new_trace_id
from kedge.serve.gateway.connection import Connection
from kedge.serve.gateway.exchange import Exchange

_TICK = 1.0


class HttpServer:
    """Connections of callers to one gateway. `answer` answers a request, and raises nothing but `Gone`."""

    def __init__(
        self, answer: Callable[[Exchange], Coroutine[Any, Any, None]], *, most_bytes: int, seconds: float
    ) -> None:
        self.most_bytes = most_bytes
        self.date = _date()
        self.closing = False
        self._answer = answer
        self._seconds = seconds
        self._connections: set[Connection] = set()
        self._stopped = asyncio.Event()
        self._left = asyncio.Event()
        self._draw = random.Random(
            secrets.randbits(256)
        )  # ids must differ, not be secret; asking the system costs 30 us

    async def serve(self, listener: socket.socket, *, ready: Callable[[], None], drain: float) -> None:
        """Answer until `stop`; then let what is under way finish, for so many seconds."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), sock=listener)
        ticking = asyncio.create_task(self._tick())
        ready()
        try:
            await self._stopped.wait()
        finally:
            server.close()
            ticking.cancel()
            await self._finish(drain)

    def stop(self) -> None:
        """Take no more requests; told so again, give up those that are under way."""
        if self.closing:
            for connection in list(self._connections):
                connection.cancel()
        self.closing = True
        self._stopped.set()

    def new_id(self) -> str:
        """A name for a request that no other has."""
        return new_trace_id(self._draw)

    def answer(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer a request."""
        return self._answer(exchange)

    def joined(self, connection: Connection) -> None:
        """A caller connected."""
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        """A caller is gone."""
        self._connections.discard(connection)
        self._left.set()

    async def _finish(self, drain: float) -> None:
        self.closing = True
        for connection in list(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(drain):
                while self._connections:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.cancel()
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        """Tell the time, and close what has been idle for too long."""
        loop = asyncio.get_running_loop()
        while True:
            self.date = _date()
            for connection in list(self._connections):
                connection.expire(loop.time(), self._seconds)
            await asyncio.sleep(min(_TICK, self._seconds / 2))


def _date() -> bytes:
    return formatdate(usegmt=True).encode()
