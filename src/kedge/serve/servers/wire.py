"""Asks one server over plain HTTP/1.1, on connections that are kept: no task, future or timer for a request."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, Protocol, cast

import httptools

_TICK: Final = 0.5
_KEEP_ALIVE: Final = 30.0  # seconds after which a connection that nobody uses is closed
_MOST_HEADERS: Final = 64 * 1024


class Hearing(Protocol):
    """Whoever waits for a response. `heard` is called with what came at once, `lost` in place of the end."""

    def head(self, status: int, retry_after: str) -> None:
        """The response begins."""
        ...

    def heard(self, data: bytes, *, last: bool) -> bool:
        """More of the body; whether the rest is wanted too."""
        ...

    def lost(self, why: str) -> None:
        """Nothing more comes of this request."""
        ...


class Transport(Protocol):
    """Carries requests to one server."""

    def ask(self, body: bytes, hearing: Hearing) -> None:
        """Send one; what comes of it is told to `hearing`, and never before this returns."""
        ...

    def leave(self, hearing: Hearing) -> None:
        """Nobody wants to hear it any more."""
        ...

    async def close(self) -> None:
        """Close every connection, without a word to those who wait."""
        ...


class PlainTransport:
    """Connections to a host, as many as are asked at once up to `most`; more requests wait for one to be free.

    `head` is everything before the length of the body. A server that says nothing for `seconds` is given up.
    """

    def __init__(self, host: str, port: int, head: bytes, *, most: int, connect_seconds: float, seconds: float) -> None:
        self._at = (host, port)
        self._head = head + b"content-length: "
        self._most = most
        self._connect_seconds = connect_seconds
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._lines: set[_Line] = set()
        self._free: list[_Line] = []
        self._waiting: deque[tuple[Hearing, bytes]] = deque()
        self._hearing: dict[Hearing, _Line] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Event | None = None  # set when the last connection is closed
        self._timer = self._loop.call_later(_TICK, self._tick)

    def ask(self, body: bytes, hearing: Hearing) -> None:
        """Send a request."""
        data = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        if self._free:
            line = self._free.pop()
            self._hearing[hearing] = line
            line.send(data, hearing)
            return
        self._waiting.append((hearing, data))
        self._connect()

    def leave(self, hearing: Hearing) -> None:
        """Close the connection that it is on: what is on its way there is for nobody else."""
        line = self._hearing.pop(hearing, None)
        if line is not None:
            line.hang_up()
            return
        self._waiting = deque(each for each in self._waiting if each[0] is not hearing)

    async def close(self) -> None:
        """Close every connection."""
        self._timer.cancel()
        self._waiting.clear()
        self._hearing.clear()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for line in list(self._lines):
            line.hang_up()
        if self._lines:
            self._empty = asyncio.Event()
            await self._empty.wait()

    def opened(self, line: _Line) -> None:
        """A connection is there."""
        self._lines.add(line)
        self.freed(line)

    def freed(self, line: _Line) -> None:
        """A connection can take a request."""
        if not self._waiting:
            self._free.append(line)
            return
        hearing, data = self._waiting.popleft()
        self._hearing[hearing] = line
        line.send(data, hearing)

    def answered(self, hearing: Hearing) -> None:
        """A request has its whole response."""
        self._hearing.pop(hearing, None)

    def closed(self, line: _Line, resend: tuple[Hearing, bytes] | None) -> None:
        """A connection is gone; what was sent on it as it closed, and was not heard, is sent on another one."""
        self._lines.discard(line)
        if self._empty is not None and not self._lines:
            self._empty.set()
        if line in self._free:
            self._free.remove(line)
        if resend is not None:
            self._hearing.pop(resend[0], None)
            self._waiting.appendleft(resend)
        if self._waiting and self._free:
            self.freed(self._free.pop())
        self._connect()

    def _connect(self) -> None:
        if len(self._connecting) < len(self._waiting) and len(self._lines) + len(self._connecting) < self._most:
            task = self._loop.create_task(self._open())
            self._connecting.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        self._connect()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._loop.create_connection(lambda: _Line(self), *self._at)
        except (OSError, TimeoutError) as error:
            if self._waiting:
                hearing, _ = self._waiting.popleft()
                hearing.lost(type(error).__name__)

    def _tick(self) -> None:
        """Give up servers that say nothing, and connections that nobody uses."""
        now = self._loop.time()
        for line in list(self._lines):
            line.expire(now, self._seconds, _KEEP_ALIVE)
        self._timer = self._loop.call_later(min(_TICK, self._seconds / 4), self._tick)


class _Line(asyncio.Protocol):
    """One connection, with at most one request on it."""

    def __init__(self, transport: PlainTransport) -> None:
        self._owner = transport
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._hearing: Hearing | None = None
        self._sent = b""
        self._used = False
        self._since = 0.0
        self._pieces: list[bytes] = []
        self._head_bytes = 0
        self._begin()

    def send(self, data: bytes, hearing: Hearing) -> None:
        """Ask."""
        assert self._transport is not None
        self._hearing, self._sent = hearing, data
        self._since = self._loop.time()
        self._transport.write(data)

    def hang_up(self) -> None:
        """Close, and tell nobody."""
        self._hearing = None
        if self._transport is not None:
            self._transport.abort()

    def expire(self, now: float, silence: float, idle: float) -> None:
        """Close if nothing has come, or nothing has been asked, for too long."""
        if self._hearing is not None and now - self._since > silence:
            self._lose("ReadTimeout")
        elif self._hearing is None and now - self._since > idle and self._transport is not None:
            self._transport.close()

    # The asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        self._owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server is gone. A body without a length ends here."""
        self._transport = None
        hearing, self._hearing = self._hearing, None
        resend = None
        if hearing is not None and self._headed and not self._sized:
            self._owner.answered(hearing)
            hearing.heard(b"", last=True)
        elif hearing is not None and self._used and not self._status:
            resend = (hearing, self._sent)  # it closed what it had kept open before it read this
        elif hearing is not None:
            self._owner.answered(hearing)
            hearing.lost(type(exc).__name__ if exc is not None else "ConnectionClosed")
        self._owner.closed(self, resend)

    def data_received(self, data: bytes) -> None:
        """More of a response."""
        hearing = self._hearing
        if hearing is None:
            self.hang_up()  # nobody asked
            return
        self._since = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._lose("InvalidResponse")
            return
        if not self._headed:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEADERS:
                self._lose("HeadersTooLarge")
            return
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not self._complete:
            if body and not hearing.heard(body, last=False):
                self._owner.leave(hearing)
            return
        keep = self._keep
        self._hearing, self._sent, self._used = None, b"", True
        self._begin()
        self._owner.answered(hearing)
        hearing.heard(body, last=True)
        if keep and self._transport is not None:
            self._owner.freed(self)
        else:
            self.hang_up()

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        name = name.lower()
        if name == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            self._sized = True

    def on_headers_complete(self) -> None:
        """The body follows; before it there may be responses that say nothing yet."""
        self._status = self._parser.get_status_code()
        if self._status >= 200 and self._hearing is not None:
            self._headed = True
            self._hearing.head(self._status, self._retry_after)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """That was all."""
        self._complete = self._headed
        self._keep = self._parser.should_keep_alive()

    def _begin(self) -> None:
        """Be ready for a response."""
        self._pieces = []
        self._status = self._head_bytes = 0
        self._headed = self._sized = self._complete = self._keep = False
        self._retry_after = ""

    def _lose(self, why: str) -> None:
        hearing = self._hearing
        self.hang_up()
        if hearing is not None:
            self._owner.answered(hearing)
            hearing.lost(why)
