"""One engine request for callers of one tenant that ask the same at the same time: each gets the answer as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import GenerationEvent
from kedge.serve.answers import Answering, Answers

Keep = Callable[[list[GenerationEvent]], Awaitable[None]]


class Flight:
    """Answers on their way to several callers. Ends early when all of them have left."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name: place for place, name in enumerate(names)}
        self._events: list[GenerationEvent] = []
        self._members: dict[Answering, list[str]] = {}
        self._task: asyncio.Task[None] | None = None
        self.over = False

    def join(self, names: Sequence[str]) -> Answering:
        """The answers for one more caller, from their beginning, under its own names."""

        def leave(ids: list[str]) -> None:
            self._members.pop(answering, None)
            if not self._members and self._task is not None:
                self._task.cancel()

        answering = Answering(names, leave)
        self._members[answering] = list(names)
        for event in self._events:
            self._tell(answering, event)
        return answering

    def depart(self, answers: Answers, keep: Keep, landed: Callable[[], None]) -> None:
        """Pass on what comes of `answers` in the background; `keep` gets it all if it ends well."""
        self._task = asyncio.create_task(self._fly(answers, keep))
        self._task.add_done_callback(lambda _: landed())

    def abandon(self, error: KedgeError) -> None:
        """It does not arrive: all who are on it are told why."""
        self.over = True
        for member in list(self._members):
            member.fail(error)

    async def _fly(self, answers: Answers, keep: Keep) -> None:
        try:
            while events := await answers.next():
                self._events += events
                for event in events:
                    for member in list(self._members):
                        self._tell(member, event)
            await keep(self._events)
        except KedgeError as error:
            self.abandon(error)
        except asyncio.CancelledError:
            self.abandon(Unavailable("the gateway stopped before the answer was finished"))
            raise
        finally:
            answers.close()

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
