"""Keeps one bundle's engine process alive: starts and warms it, restarts it after a crash, lets it finish, ends it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import EngineFacts, GenerationRequest
from kedge.serve.answers import Answering
from kedge.serve.link import start_engine

logger = logging.getLogger(__name__)

_WARM_UP = GenerationRequest(id="warm-up", sampling=Sampling(max_tokens=2), input="warm up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take, in seconds: loading, waiting for a restart, silence while something is under way, and the
    pause before a restart (doubling, until an engine has lived `steady` long)."""

    start: float = 600.0
    restart: float = 30.0
    silence: float = 120.0
    steady: float = 30.0
    first_pause: float = 0.1
    longest_pause: float = 10.0


class Process(Protocol):
    """A started engine process and the way to speak to it: `Link`, or a server of another maker."""

    facts: EngineFacts
    ended: asyncio.Event
    process: asyncio.subprocess.Process | None

    @property
    def waiting(self) -> int:
        """How many requests have no event yet."""
        ...

    @property
    def silent(self) -> float:
        """For how many seconds nothing has come although something is under way."""
        ...

    @property
    def up(self) -> bool:
        """Whether it takes requests."""
        ...

    def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Send requests. `Unavailable` if the process has ended."""
        ...

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Send requests whose answers are awaited already. `Unavailable` if the process has ended."""
        ...

    async def epitaph(self) -> str:
        """How the process ended, once it has."""
        ...

    def kill(self) -> None:
        """End a process that no longer answers; what is unfinished fails."""
        ...

    async def close(self) -> None:
        """End the process, by force if it does not end by itself."""
        ...


class Start(Protocol):
    """Starts a process for a bundle whose files lie in `folder`; it answers when this returns. Raises why it cannot."""

    def __call__(self, bundle: Bundle, folder: Path, *, seconds: float) -> Coroutine[Any, Any, Process]:
        """Within so many seconds."""
        ...


class Supervisor:
    """An Answerer whose engine runs in a process of its own, which `start` starts."""

    def __init__(
        self,
        bundle: Bundle,
        folder: Path,
        *,
        patience: Patience | None = None,
        restarted: Callable[[], object] = int,
        start: Start = start_engine,
    ) -> None:
        self._start = start
        self.changed: Callable[[], object] = int  # called when the engine comes up, goes down or does not start
        self._bundle = bundle
        self._folder = folder
        self._patience = patience or Patience()
        self._restarted = restarted
        self._link: Process | None = None
        self._up = asyncio.Event()
        self._tried = asyncio.Event()  # set and replaced after each attempt to start, whatever came of it
        self._failures = 0
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def facts(self) -> EngineFacts:
        """What the engine is and can, since it was first ready."""
        return self._link.facts if self._link is not None else EngineFacts(name=self._bundle.engine.name)

    @property
    def healthy(self) -> bool:
        """Whether the process is up."""
        return self._up.is_set() and self._link is not None and self._link.up

    @property
    def waiting(self) -> int:
        """How many requests it took whose answer has not begun."""
        return self._link.waiting if self._link is not None else 0

    @property
    def failing(self) -> bool:
        """Whether it went down and could not be started again so far."""
        return self._failures > 0 and not self.healthy

    @property
    def pid(self) -> int:
        """The process, 0 while there is none."""
        process = self._link.process if self._link is not None and self.healthy else None
        return process.pid if process is not None else 0

    async def start(self) -> None:
        """Start and warm the engine, and watch over it from now on. Raises why it cannot load."""
        await self._bring_up()
        self._watching = asyncio.create_task(self._watch())

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Send requests, after a restart that is under way. `Unavailable` if it keeps failing or takes too long."""
        if self._link is None or self._link.ended.is_set() or not self._up.is_set():
            await self._wait_for_restart()
        assert self._link is not None
        return self._link.ask(requests)

    def take(self, requests: Sequence[GenerationRequest], answering: Answering) -> None:
        """Send requests whose answers are awaited already. `Unavailable` unless it is healthy."""
        if not self.healthy:
            raise Unavailable("the engine is being restarted", hint="try again in a moment")
        assert self._link is not None
        self._link.take(requests, answering)

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        self._up.clear()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    async def _bring_up(self) -> None:
        link = await self._start(self._bundle, self._folder, seconds=self._patience.start)
        try:
            await finish(link.ask([warm_up()]))
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._up.set()
        self._wake()
        self.changed()

    def _wake(self) -> None:
        """Tell whoever waits for the attempt under way."""
        tried, self._tried = self._tried, asyncio.Event()
        tried.set()

    async def _wait_for_restart(self) -> None:
        if self._closed:
            raise Unavailable("the engine was stopped", hint="try again")
        if self._failures:
            raise Unavailable("the engine keeps failing", hint="the gateway's log says why; kedge rollback goes back")
        if self._link is not None and self._link.ended.is_set():
            self._up.clear()  # before the watch has noticed
        try:
            await asyncio.wait_for(self._tried.wait(), self._patience.restart)
        except TimeoutError as error:
            raise Unavailable("the engine is being restarted", hint="try again in a moment") from error
        if not self._up.is_set():
            raise Unavailable("the engine could not be restarted", hint="the gateway's log says why")

    async def _watch(self) -> None:
        """Start the engine again each time it ends, after longer pauses when it does not live long."""
        pause = self._patience.first_pause
        while self._link is not None:
            born = time.monotonic()
            await self._end_of(self._link)
            self._up.clear()
            self.changed()
            if time.monotonic() - born > self._patience.steady:
                pause = self._patience.first_pause
            said = await self._link.epitaph()
            logger.error("the engine stopped and is restarted", extra={"said": said, "pause": pause})
            while not await self._restart(pause):
                pause = min(2 * pause, self._patience.longest_pause)
            pause = min(2 * pause, self._patience.longest_pause)

    async def _end_of(self, link: Process) -> None:
        """Wait until the process has ended; one that is silent for too long is killed."""
        while not link.ended.is_set():
            if link.silent > self._patience.silence:
                logger.error("the engine says nothing any more and is killed", extra={"seconds": round(link.silent, 1)})
                link.kill()
            try:
                await asyncio.wait_for(link.ended.wait(), self._patience.silence / 4)
            except TimeoutError:
                continue

    async def _restart(self, pause: float) -> bool:
        """Try once; whether it came up."""
        await asyncio.sleep(pause)
        self._restarted()
        try:
            await self._bring_up()
        except KedgeError as error:
            self._failures += 1
            self._wake()
            self.changed()
            logger.warning("the engine does not start", extra={"said": error.message, "failures": self._failures})
            return False
        self._failures = 0
        return True


def warm_up(bundle: str = "") -> GenerationRequest:
    """What an engine is asked first, so that the first caller does not pay for what is done lazily."""
    return replace(_WARM_UP, id=f"warm-up {bundle}", bundle=bundle)


async def finish(answering: Answering) -> None:
    """Wait for the end of an answer that nobody reads."""
    while await answering.next():
        pass
