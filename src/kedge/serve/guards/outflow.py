"""Answers on their way past the guards behind a model: what may still turn into something is held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kedge.core.errors import KedgeError
from kedge.core.generation import GenerationEvent
from kedge.core.guard import Ruling
from kedge.serve.answers import Answers
from kedge.serve.guards.open import Posted
from kedge.serve.guards.watch import Minutes, Watch

CONTEXT = 200  # characters before a stretch that guards see again


class _Stage:
    """One guard and what it holds back of one choice."""

    __slots__ = ("_held", "_posted", "_start")

    def __init__(self, posted: Posted) -> None:
        self._posted = posted
        self._held = ""  # judged context, then what waits
        self._start = 0  # where what waits begins

    def push(self, text: str, watch: Watch, minutes: Minutes, *, final: bool) -> Ruling:
        """Take more of the answer, and give what may go on."""
        self._held += text
        guard = self._posted.guard
        cut = len(self._held) if final else guard.settled(self._held, self._start)
        if cut <= self._start and not final:
            return Ruling(text="")
        ruling = watch.judge(self._posted, "out", minutes, self._held[:cut], self._start)
        self._start = cut
        return ruling

    def forget(self) -> None:
        """Keep no more of what has gone out than tells what follows."""
        spare = self._start - CONTEXT
        if spare > CONTEXT:
            self._held = self._held[spare:]
            self._start -= spare


class Guarded:
    """Answers past guards. A choice that is blocked ends there, with the finish `content_filter`."""

    def __init__(self, answers: Answers, watch: Watch, minutes: Minutes, names: Sequence[str]) -> None:
        self.blocked = ""
        self._answers = answers
        self._watch = watch
        self._minutes = minutes
        self._open: dict[str, list[_Stage] | None] = dict.fromkeys(names)  # stages are made for what comes in pieces

    @property
    def began(self) -> float:
        """When the first event came."""
        return self._answers.began

    async def next(self) -> list[GenerationEvent]:
        """What may go on, waiting for something; empty when every request is finished."""
        while self._open:
            events = await self._answers.next()
            passed = [kept for event in _together(events) if (kept := self._pass(event)) is not None]
            if passed or not events:
                return passed
        self._answers.close()
        return []

    async def rest(self) -> list[GenerationEvent]:
        """All that may go on."""
        events = await self._answers.rest()
        return [kept for event in _together(events) if (kept := self._pass(event)) is not None]

    def fail(self, error: KedgeError) -> None:
        """End with an error."""
        self._answers.fail(error)

    def close(self) -> None:
        """Cancel what is unfinished."""
        self._answers.close()

    def _pass(self, event: GenerationEvent) -> GenerationEvent | None:
        if event.id not in self._open:
            return None
        text, final = event.text, bool(event.finish)
        if event.finish in ("error", "cancelled"):
            del self._open[event.id]
            return event
        stages = self._open[event.id]
        if stages is None:
            if final:
                return self._pass_whole(event)
            stages = self._open[event.id] = [_Stage(posted) for posted in self._watch.outbound]
        for stage in stages:
            ruling = stage.push(text, self._watch, self._minutes, final=final)
            if ruling.blocked:
                del self._open[event.id]
                self.blocked = ruling.blocked
                return replace(event, text="", finish="content_filter")
            text = ruling.text
            stage.forget()
        if final:
            del self._open[event.id]
        elif not text:
            return None
        return event if text == event.text else replace(event, text=text)

    def _pass_whole(self, event: GenerationEvent) -> GenerationEvent:
        """An answer that came in one piece."""
        del self._open[event.id]
        text = event.text
        for posted in self._watch.outbound:
            ruling = self._watch.judge(posted, "out", self._minutes, text)
            if ruling.blocked:
                self.blocked = ruling.blocked
                return replace(event, text="", finish="content_filter")
            text = ruling.text
        return event if text == event.text else replace(event, text=text)


def _together(events: Sequence[GenerationEvent]) -> Sequence[GenerationEvent]:
    """What came at once of each choice as one event, so that guards look once."""
    if len(events) < 2:
        return events
    texts: dict[str, list[str]] = {}
    last: dict[str, GenerationEvent] = {}
    for event in events:
        texts.setdefault(event.id, []).append(event.text)
        last[event.id] = event
    return [replace(event, text="".join(texts[name])) for name, event in last.items()]
