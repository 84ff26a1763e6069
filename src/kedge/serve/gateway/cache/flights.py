"""One engine request for callers of one tenant that ask the same at the same time: each gets the answer as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from kedge.core.errors import KedgeError
from kedge.core.generation import GenerationEvent
from kedge.serve.answers import Answering

logger = logging.getLogger(__name__)

Keep = Callable[[list[GenerationEvent]], Coroutine[Any, Any, None] | None]
"""Keeps answers that have ended well: at once, or with what is left to do."""


class Flight:
    """Answers on their way to several callers. Ends early when all of them have left."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name: place for place, name in enumerate(names)}
        self._events: list[GenerationEvent] = []
        self._members: dict[Answering, Sequence[str]] = {}
        self._answers: Answering | None = None
        self._keep: Keep | None = None
        self._landed: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.over = False

    def join(self, names: Sequence[str]) -> Answering:
        """The answers for one more caller, from their beginning, under its own names."""
        answering = Answering(names, lambda ids: self._leave(answering))
        self._members[answering] = names
        for event in self._events:
            self._tell(answering, event)
        return answering

    def depart(self, answers: Answering, keep: Keep, landed: Callable[[], None]) -> None:
        """Pass on what comes of `answers`; `keep` gets it all if it ends well, and `landed` is called in the end."""
        self._answers, self._keep, self._landed = answers, keep, landed
        answers.tell(self)

    def put(self, event: GenerationEvent) -> None:
        """Pass on one event."""
        self._events.append(event)
        for member in list(self._members):
            self._tell(member, event)
        if self._answers is not None and not self._answers.unfinished:
            self._arrive()

    def fail(self, error: KedgeError) -> None:
        """It does not arrive: all who are on it are told why."""
        self.over = True
        for member in list(self._members):
            member.fail(error)
        asyncio.get_running_loop().call_soon(self._land)  # whoever tells us of it may be telling others too

    def _arrive(self) -> None:
        if self._keep is None:
            return
        keep, self._keep = self._keep, None
        left = keep(self._events)
        if left is None:
            self._land()
            return
        self._task = asyncio.create_task(left)
        self._task.add_done_callback(self._kept)

    def _kept(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("an answer could not be kept", exc_info=error)
        self._land()

    def _land(self) -> None:
        landed, self._landed = self._landed, None
        if self._answers is not None:
            self._answers.close()
        if landed is not None:
            landed()

    def _leave(self, answering: Answering) -> None:
        self._members.pop(answering, None)
        if not self._members:
            self.over = True
            self._land()

    def _tell(self, member: Answering, event: GenerationEvent) -> None:
        named = self._members[member][self._names[event.id]]
        member.put(event if named == event.id else replace(event, id=named))


class Replay:
    """Answers that are there already: kept ones, given again under the names of a new request."""

    def __init__(self, events: Sequence[GenerationEvent], names: Sequence[str], *, at: float) -> None:
        self.began = at
        self._events = [replace(event, id=name) for event, name in zip(events, names, strict=True)]
        self._error: KedgeError | None = None

    async def next(self) -> list[GenerationEvent]:
        """All of it, the first time."""
        if self._error is not None and self._events:
            raise self._error
        events, self._events = self._events, []
        return events

    async def rest(self) -> list[GenerationEvent]:
        """All of it."""
        return await self.next()

    def fail(self, error: KedgeError) -> None:
        """End with an error, unless it has been given."""
        self._error = error

    def close(self) -> None:
        """Nothing is left to cancel."""
