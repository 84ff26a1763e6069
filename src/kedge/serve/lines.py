"""Many requests of a file, some at a time, each asked again while the answer is to come later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from kedge.core.errors import Unavailable

LATER = (429, 503)
TRIES = 8
FIRST_PAUSE = 0.25
_LONGEST = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request: where it goes and its body as JSON."""

    id: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one, as HTTP has it; `id` names the trace."""

    status: int
    body: bytes
    id: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def pause(self) -> float:
        """How long the other side wants us to wait, in seconds (0: it does not say)."""
        said = self.headers.get("retry-after", "")
        return float(said) if said.isdecimal() and len(said) < 6 else 0.0


class Asker(Protocol):
    """What answers lines. `Unavailable` when it cannot be reached at all."""

    async def ask(self, path: str, body: bytes) -> Outcome:
        """The whole answer to a POST."""
        ...


async def answer_lines(
    lines: Iterable[Line],
    asker: Asker,
    *,
    at_once: int,
    done: Callable[[Line, Outcome], None],
    first_pause: float = FIRST_PAUSE,
) -> None:
    """Answer every line, at most `at_once` at a time; `done` is called with each as it comes. One that is refused for now
    is asked again, some times and after longer and longer pauses. Raises the first error that stops it all."""
    waiting = iter(lines)
    tasks = [asyncio.create_task(_work(waiting, asker, done, first_pause)) for _ in range(at_once)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _work(
    waiting: Iterator[Line], asker: Asker, done: Callable[[Line, Outcome], None], first_pause: float
) -> None:
    for line in waiting:
        done(line, await _ask(line, asker, first_pause))


async def _ask(line: Line, asker: Asker, pause: float) -> Outcome:
    for _ in range(TRIES - 1):
        outcome = await asker.ask(line.path, line.body)
        if outcome.status not in LATER:
            return outcome
        await asyncio.sleep(min(_LONGEST, max(pause, outcome.pause)))
        pause *= 2
    return await asker.ask(line.path, line.body)


class Outward:
    """Asks an endpoint over HTTP. What cannot be sent is sent again before it counts as unreachable."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url

    async def ask(self, path: str, body: bytes) -> Outcome:
        """POST a body."""
        url = self._url + path
        pause = FIRST_PAUSE
        for attempt in range(TRIES):
            try:
                request = self._client.post(url).header("content-type", "application/json").body_bytes(body).build()
                response = await request.send()
                headers = {name.lower(): value for name, value in response.headers.items()}
                raw = bytes(await response.bytes())
                return Outcome(status=response.status, body=raw, id=headers.get("x-request-id", ""), headers=headers)
            except PyreqwestError as error:
                if attempt == TRIES - 1:
                    raise Unavailable(
                        f"the endpoint at {self._url} does not answer: {error}",
                        hint="run the same command again once it does: what is answered stays answered",
                    ) from error
            await asyncio.sleep(min(_LONGEST, pause))
            pause *= 2
        raise AssertionError("the last try returns or raises")


@asynccontextmanager
async def reach(url: str, key: str, *, at_once: int) -> AsyncIterator[Outward]:
    """An endpoint at a URL (without `/v1`), asked with an API key."""
    builder = ClientBuilder().default_headers({"authorization": f"Bearer {key}"}).no_proxy()
    async with builder.timeout(timedelta(seconds=600)).max_connections(at_once).build() as client:
        yield Outward(client, url.rstrip("/").removesuffix("/v1"))
