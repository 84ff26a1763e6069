"""HTTP/1.1 on one connection: requests are read whole, within limits, and answered one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

import httptools
import msgspec

from kedge.serve.gateway.errors import ApiError, Gone, Header
from kedge.serve.gateway.exchange import JSON, Exchange, too_large

MOST_HEADERS: Final = 64 * 1024
KEEP_ALIVE: Final = 75.0
LINGER: Final = 1.0
_PIPELINED: Final = 16
_HIGH_WATER: Final = 256 * 1024

_STATUS: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_GONE = "the caller went away"


class Server(Protocol):
    """What a connection belongs to."""

    most_bytes: int
    date: bytes
    closing: bool

    def new_id(self) -> str:
        """A name for a request that no other has."""
        ...

    def answer(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer a request. Raises nothing but `Gone`."""
        ...

    def joined(self, connection: Connection) -> None:
        """A caller connected."""
        ...

    def left(self, connection: Connection) -> None:
        """A caller is gone."""
        ...


class Read(msgspec.Struct, kw_only=True):
    """A request that was read."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    old: bool  # HTTP/1.0


class Connection(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, server: Server) -> None:
        self.since = 0.0  # when the last request was answered, or the one that is being read began
        self.reading = False
        self._server = server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Read] = deque()
        self._task: asyncio.Task[None] | None = None
        self._exchange: Exchange | None = None
        self._asked: Read | None = None
        self._drained: asyncio.Future[None] | None = None
        self._complete = True
        self._ends = False
        self._loop = asyncio.get_running_loop()
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._head_bytes = 0
        self._headed = False
        self._too_large = False

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._task is not None

    def expire(self, now: float, seconds: float) -> None:
        """Close a connection that has been idle for too long, or on which a request does not arrive."""
        if self.busy or self._transport is None:
            return
        if self._ends:
            if now - self.since > LINGER:
                self._transport.close()
        elif self.reading and now - self.since > seconds:
            late = ApiError(408, f"the request did not arrive within {seconds:g} seconds", code="body_timeout")
            self._refuse(late)
        elif not self.reading and now - self.since > KEEP_ALIVE:
            self._transport.close()

    def finish(self) -> None:
        """Close when what is being answered is answered."""
        if self._task is None and self._transport is not None:
            self._transport.close()

    def cancel(self) -> None:
        """Stop what is being answered."""
        if self._task is not None:
            self._task.cancel()

    # The asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self.since = self._loop.time()
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        self._transport = None
        self._waiting.clear()
        self._server.left(self)
        if self._exchange is not None:
            self._exchange.fail(Gone(_GONE))
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(Gone(_GONE))
            self._drained.exception()  # nobody may be waiting any more

    def pause_writing(self) -> None:
        """The caller reads slower than we write."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        if self._ends:
            return
        if not self.reading:
            self.reading, self.since = True, self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # it was answered as if the caller had not asked for it
        except httptools.HttpParserError:
            if not self._ends:
                self._refuse(ApiError(400, "this is not an HTTP request", code="invalid_http"))
        if not self._headed:
            self._count_head(len(data))

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Another request begins."""
        self._url, self._headers, self._pieces = b"", {}, []
        self._size = self._head_bytes = 0
        self._headed = self._too_large = False

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; of several with one name the first counts."""
        self._headers.setdefault(name.lower(), value)
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """The body follows, if there is one."""
        self._headed = True
        self._count_head(len(self._url))
        length = self._headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._server.most_bytes:
            self._too_large = True
        elif self._headers.get(b"expect", b"").lower() == b"100-continue" and not self._waiting and self._task is None:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._too_large and not self._ends:
            self._refuse(too_large(self._server.most_bytes))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._too_large or self._ends:
            return
        self._size += len(body)
        if self._size > self._server.most_bytes:
            self._too_large = True
            self._refuse(too_large(self._server.most_bytes))
            return
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """A request was read."""
        self.reading = False
        if self._ends:
            return
        old = self._parser.get_http_version() == "1.0"
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        asked = Read(
            method=self._parser.get_method().decode("ascii"),
            path=_path(self._url),
            headers=self._headers,
            body=b"".join(self._pieces) if len(self._pieces) != 1 else self._pieces[0],
            keep_alive=keep and not old,
            old=old,
        )
        if not asked.keep_alive:
            self._ends = True  # nothing after it is read
        self._pieces = []
        if self._task is None:
            self._begin(asked)
        else:
            self._waiting.append(asked)
            if len(self._waiting) >= _PIPELINED and self._transport is not None:
                self._transport.pause_reading()

    # The Wire.

    def start(self, status: int, headers: Sequence[Header], body: bytes | None) -> None:
        """Send status and headers, with the whole body or with parts to follow."""
        asked = self._asked
        assert asked is not None
        lines = [_STATUS[status], b"date: ", self._server.date, b"\r\n"]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        if not asked.keep_alive or self._server.closing:
            asked.keep_alive = False
            lines.append(b"connection: close\r\n")
        if body is None:
            lines.append(b"\r\n" if asked.old else b"transfer-encoding: chunked\r\n\r\n")
            self._complete = False
        else:
            lines += (b"content-length: ", str(len(body)).encode(), b"\r\n\r\n")
            if asked.method != "HEAD":
                lines.append(body)
        self._write(b"".join(lines))

    def part(self, body: bytes) -> None:
        """Send a part of the body."""
        assert self._asked is not None
        if body:
            self._write(body if self._asked.old else b"%x\r\n%b\r\n" % (len(body), body))

    def end(self) -> None:
        """The body is complete."""
        assert self._asked is not None
        self._complete = True
        if not self._asked.old:
            self._write(b"0\r\n\r\n")

    def drain(self) -> Awaitable[None] | None:
        """What to wait for before more is sent. Raises `Gone`."""
        if self._transport is None or self._transport.is_closing():
            raise Gone(_GONE)
        return self._drained

    def cut(self) -> None:
        """Drop the connection if the caller does not read."""
        if self._drained is not None and self._transport is not None:
            self._transport.abort()

    def _begin(self, asked: Read) -> None:
        self._asked = asked
        self._exchange = Exchange(
            self, id=self._server.new_id(), method=asked.method, path=asked.path, headers=asked.headers, body=asked.body
        )
        self._task = self._loop.create_task(self._server.answer(self._exchange))
        self._task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        """Go on with the next request, or end the connection."""
        asked, self._asked = self._asked, None
        self._task = self._exchange = None
        self.since = self._loop.time()
        failed = task.cancelled() or task.exception() is not None  # as when the caller went away
        if self._transport is None:
            return
        if failed or not self._complete or asked is None or not asked.keep_alive or self._server.closing:
            self._transport.close()
            return
        if self._waiting:
            self._begin(self._waiting.popleft())
            self._transport.resume_reading()

    def _refuse(self, error: ApiError) -> None:
        """Answer what could not be read, and end the connection: nobody knows where the next request begins."""
        self._ends = True
        if self._task is not None or self._transport is None:
            if self._asked is not None:
                self._asked.keep_alive = False
            return
        self._asked = Read(method="GET", path="", headers={}, body=b"", keep_alive=False, old=False)
        self.start(error.status, [JSON, (b"x-request-id", self._server.new_id().encode())], error.body())
        self._asked = None
        self.since = self._loop.time()  # what is still on its way is read, so that the answer is not lost; then it ends

    def _count_head(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > MOST_HEADERS and not self._ends:
            self._refuse(ApiError(431, f"the headers are longer than {MOST_HEADERS} bytes", code="headers_too_large"))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _path(url: bytes) -> str:
    """The path of a target, without what escapes hide; "" for one that cannot be read."""
    if b"?" not in url and b"%" not in url and url.startswith(b"/"):
        return url.decode("latin-1")
    try:
        path = httptools.parse_url(url).path
    except httptools.HttpParserInvalidURLError:
        return ""
    return unquote((path or b"").decode("latin-1"))
