"""One HTTP request and its response, over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol

from kedge.core.errors import KedgeError
from kedge.serve.gateway.errors import ApiError, Gone, Header

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = (b"content-type", b"application/json")


class Failing(Protocol):
    """Answers that can be ended with an error."""

    def fail(self, error: KedgeError) -> None:
        """End them."""
        ...


class Exchange:
    """What was asked over HTTP, and the way to answer it. `id` names it in the response, the log and the trace."""

    __slots__ = (
        "_answers",
        "_extra",
        "_receive",
        "_send",
        "_trouble",
        "_watch",
        "id",
        "method",
        "path",
        "raw_headers",
        "started",
    )

    def __init__(self, scope: Message, receive: Receive, send: Send, *, id: str) -> None:
        self.id = id
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_headers: Sequence[Header] = scope["headers"]
        self.started = False
        self._extra: list[Header] = []
        self._receive = receive
        self._send = send
        self._answers: Failing | None = None
        self._trouble: KedgeError | None = None
        self._watch: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str:
        """The value of a header ("" if it is absent); of several the first."""
        return next((value.decode("latin-1") for key, value in self.raw_headers if key == name), "")

    async def body(self, *, limit: int, seconds: float) -> bytes:
        """The whole body. 413 beyond `limit` bytes, 408 if it does not come in time."""
        announced = self.header(b"content-length")
        if announced.isdecimal() and int(announced) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(seconds):
                return await self._read(limit)
        except TimeoutError as error:
            raise ApiError(408, f"the body did not arrive within {seconds:g} seconds", code="body_timeout") from error

    async def _read(self, limit: int) -> bytes:
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Gone("the caller went away")
            body += message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            if not message.get("more_body", False):
                return bytes(body)

    def aim(self, answers: Failing) -> None:
        """Have these answers fail if the caller goes away or time runs out; at once if that has happened."""
        self._answers = answers
        if self._trouble is not None:
            answers.fail(self._trouble)
        elif self._watch is None:
            self._watch = asyncio.create_task(self._wait_gone())

    def fail(self, error: KedgeError) -> None:
        """End what is being answered with an error."""
        self._trouble = self._trouble or error
        if self._answers is not None:
            self._answers.fail(error)

    def cut(self) -> None:
        """Wait no longer for the caller to read."""
        self.done()

    async def _wait_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.fail(Gone("the caller went away"))

    def done(self) -> None:
        """No longer care whether the caller is there."""
        self._answers = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def add_header(self, name: bytes, value: bytes) -> None:
        """Send a header with the response, in place of one of this name that was added before."""
        self._extra = [header for header in self._extra if header[0] != name] if self._extra else []
        self._extra.append((name, value))

    def add_headers(self, headers: Sequence[Header]) -> None:
        """Send headers with the response."""
        self._extra += headers

    async def reply(self, status: int, body: bytes, headers: Sequence[Header] = (JSON,)) -> None:
        """Answer as a whole."""
        length = (b"content-length", str(len(body)).encode())
        await self.begin(status, [*headers, length])
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Send status and headers; the body follows in parts."""
        self.started = True
        named = [*headers, *self._extra, (b"x-request-id", self.id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": named})

    async def part(self, body: bytes) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": b""})


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is larger than {limit} bytes", code="request_too_large")
