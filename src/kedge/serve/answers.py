"""Answers as they come, and what gives them: the asynchronous side of an engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from kedge.core.errors import KedgeError, Limited, Unavailable
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest


class Answers(Protocol):
    """Answers on their way, from an engine or from what stands before it."""

    @property
    def began(self) -> float:
        """When the first event came, as `time.perf_counter` has it; 0 before."""
        ...

    async def next(self) -> list[GenerationEvent]:
        """What came since the last call, waiting for something; empty when every request is finished.

        Raises the error that ended it.
        """
        ...

    async def rest(self) -> list[GenerationEvent]:
        """All that is still to come, once every request is finished. Raises the error that ended it."""
        ...

    def fail(self, error: KedgeError) -> None:
        """End with an error, after the events that came before it."""
        ...

    def close(self) -> None:
        """Cancel what is unfinished. Closing again does nothing."""
        ...


class Listener(Protocol):
    """Takes events at once, in place of somebody who waits for them."""

    def put(self, event: GenerationEvent) -> None:
        """One event."""
        ...

    def fail(self, error: KedgeError) -> None:
        """What ended it, after the events that came before."""
        ...


class Answering:
    """The events of one or several requests as they come. Left before the end, what is unfinished is cancelled."""

    __slots__ = ("_cancel", "_ended", "_error", "_events", "_listener", "_patient", "_waiter", "began", "unfinished")

    def __init__(
        self, ids: Sequence[str], cancel: Callable[[list[str]], None], ended: Callable[[], None] | None = None
    ) -> None:
        self.unfinished = set(ids)
        self.began = 0.0  # when the first event came, as `time.perf_counter` has it
        self._cancel = cancel
        self._ended = ended  # called once, when nothing more can come
        self._events: list[GenerationEvent] = []
        self._waiter: asyncio.Future[None] | None = None
        self._error: KedgeError | None = None
        self._patient = False
        self._listener: Listener | None = None

    def put(self, event: GenerationEvent) -> None:
        """Take an event from the engine."""
        if event.id not in self.unfinished:
            return
        if not self.began:
            self.began = time.perf_counter()
        if event.finish:
            self.unfinished.discard(event.id)
            if not self.unfinished:
                self._end()
        if self._listener is not None:
            self._listener.put(event)
            return
        self._events.append(event)
        if not (self._patient and self.unfinished):
            self._wake()

    def fail(self, error: KedgeError) -> None:
        """End with an error, after the events that came before it."""
        if self.unfinished and self._error is None:
            self._error = error
            if self._listener is not None:
                self._listener.fail(error)
            self._wake()
            self._end()

    def tell(self, listener: Listener) -> None:
        """Hand on what has come and all that comes; nobody calls `next`."""
        self._listener = listener
        events, self._events = self._events, []
        for event in events:
            listener.put(event)
        if self._error is not None:
            listener.fail(self._error)

    @property
    def waiting(self) -> bool:
        """Whether nothing has come yet."""
        return not self.began

    async def next(self) -> list[GenerationEvent]:
        """What came since the last call, waiting for something; empty when every request is finished.

        Raises the error that ended it.
        """
        while not self._events and self._error is None and self.unfinished:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if not self._events and self._error is not None:
            raise self._error
        events, self._events = self._events, []
        return events

    async def rest(self) -> list[GenerationEvent]:
        """All that is still to come, once every request is finished. Raises the error that ended it."""
        self._patient = True
        events: list[GenerationEvent] = []
        while got := await self.next():
            events += got
            if not (self.unfinished or self._events):
                break
        return events

    def close(self) -> None:
        """Cancel what is unfinished. Closing again does nothing."""
        if self.unfinished:
            self._cancel(list(self.unfinished))
            self.unfinished.clear()
            self._end()

    def cancel_by(self, cancel: Callable[[list[str]], None]) -> None:
        """From now on what is unfinished is cancelled like this: a request that waited has found its engine."""
        self._cancel = cancel

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Interrupted(Unavailable):
    """The engine's process ended while it was answering. Another one is started, and who asks again waits for it: no
    reason to leave the engine alone."""


class Busy(Limited):
    """More waits than can be answered in time. `seconds` is when it is worth asking again, by what was answered lately."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message, hint="ask again later, or give the endpoint more replicas")
        self.seconds = seconds


class Answerer(Protocol):
    """An engine as the gateway sees it, wherever it runs."""

    @property
    def facts(self) -> EngineFacts:
        """What the engine is and can."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether it would answer now."""
        ...

    @property
    def waiting(self) -> int:
        """How many requests it took whose answer has not begun."""
        ...

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """Send requests; whoever asks closes the answering. `Unavailable` if the engine is not there for long."""
        ...

    async def close(self) -> None:
        """End the engine; what is unfinished fails with `Unavailable`."""
        ...
