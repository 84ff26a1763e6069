"""One HTTP request and its response, apart from the connection that carries them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from kedge.core.errors import KedgeError
from kedge.serve.gateway.errors import ApiError, Header

JSON = (b"content-type", b"application/json")


class Wire(Protocol):
    """Carries one response to its caller."""

    def start(self, status: int, headers: Sequence[Header], body: bytes | None) -> None:
        """Send status and headers, with the whole body, or (None) with a body in parts to follow."""
        ...

    def part(self, body: bytes) -> None:
        """Send a part of the body."""
        ...

    def end(self) -> None:
        """The body is complete."""
        ...

    def drain(self) -> Awaitable[None] | None:
        """What to wait for before more is sent, if the caller reads slower than we write. Raises `Gone`."""
        ...

    def cut(self) -> None:
        """Wait no longer for a caller who does not read."""
        ...


class Failing(Protocol):
    """Answers that can be ended with an error."""

    def fail(self, error: KedgeError) -> None:
        """End them."""
        ...


class Exchange:
    """What was asked over HTTP, and the way to answer it. `id` names it in the response, the log and the trace."""

    __slots__ = (
        "_answers",
        "_body",
        "_extra",
        "_headers",
        "_trouble",
        "_wire",
        "id",
        "method",
        "path",
        "started",
    )

    def __init__(
        self, wire: Wire, *, id: str, method: str, path: str, headers: dict[bytes, bytes], body: bytes
    ) -> None:
        self.id = id
        self.method = method
        self.path = path
        self.started = False
        self._wire = wire
        self._headers = headers
        self._body = body
        self._extra: list[Header] = []
        self._answers: Failing | None = None
        self._trouble: KedgeError | None = None

    def header(self, name: bytes) -> str:
        """The value of a header ("" if it is absent); of several the first."""
        value = self._headers.get(name)
        return value.decode("latin-1") if value else ""

    async def body(self, *, limit: int, seconds: float) -> bytes:
        """The whole body. 413 beyond `limit` bytes; the connection has seen to it that it came in time."""
        if len(self._body) > limit:
            raise too_large(limit)
        return self._body

    def aim(self, answers: Failing) -> None:
        """Have these answers fail if the caller goes away or time runs out; at once if that has happened."""
        self._answers = answers
        if self._trouble is not None:
            answers.fail(self._trouble)

    def fail(self, error: KedgeError) -> None:
        """End what is being answered with an error."""
        self._trouble = self._trouble or error
        if self._answers is not None:
            self._answers.fail(error)

    def cut(self) -> None:
        """Wait no longer for the caller to read."""
        self._wire.cut()

    def done(self) -> None:
        """No longer care whether the caller is there."""
        self._answers = None

    def add_header(self, name: bytes, value: bytes) -> None:
        """Send a header with the response, in place of one of this name that was added before."""
        if self._extra:
            self._extra = [header for header in self._extra if header[0] != name]
        self._extra.append((name, value))

    def add_headers(self, headers: Sequence[Header]) -> None:
        """Send headers with the response."""
        self._extra += headers

    async def reply(self, status: int, body: bytes, headers: Sequence[Header] = (JSON,)) -> None:
        """Answer as a whole."""
        self.started = True
        self._wire.start(status, (*headers, *self._extra, (b"x-request-id", self.id.encode())), body)
        await self._drained()

    async def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Send status and headers; the body follows in parts."""
        self.started = True
        self._wire.start(status, (*headers, *self._extra, (b"x-request-id", self.id.encode())), None)

    async def part(self, body: bytes) -> None:
        """Send a part of the body."""
        self._wire.part(body)
        await self._drained()

    async def end(self) -> None:
        """End the body."""
        self._wire.end()
        await self._drained()

    async def _drained(self) -> None:
        wait = self._wire.drain()
        if wait is not None:
            await wait


def too_large(limit: int) -> ApiError:
    """The body is more than is read here."""
    return ApiError(413, f"the body is larger than {limit} bytes", code="request_too_large")
