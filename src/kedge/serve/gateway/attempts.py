"""Who is asked when an engine does not answer: the same once more, then the endpoint's fallbacks, or both at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.serve.answers import Answers, Interrupted
from kedge.serve.gateway.errors import ApiError, Gone, TimedOut
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routing import Lane
from kedge.serve.gateway.source import Source, ask

_WORTH = frozenset({429, 500, 502, 503})


def attempts(gateway: Gateway, lane: Lane) -> Iterator[Lane]:
    """The lanes to try in turn, after the first within the budget of retries.

    An engine that is left alone is passed over while another one can answer. The same engine is asked once more only if
    there is nobody else.
    """
    others = [each for each in gateway.fallback_lanes() if each.running is not lane.running]
    if not others:
        yield lane
        if gateway.retries.spend():
            yield lane
        return
    candidates = [each for each in (lane, *others) if gateway.breakers.allows(each.running)] or [lane]
    yield candidates[0]
    for candidate in candidates[1:]:
        if not gateway.retries.spend():
            return
        yield candidate


def worth_another(error: KedgeError | ApiError) -> bool:
    """Whether another engine, or the same one again, may do better."""
    if isinstance(error, ApiError):
        return error.status in _WORTH and error.code != "insufficient_quota"
    return isinstance(error, Unavailable) and not isinstance(error, Gone | TimedOut)


def is_engines_fault(error: KedgeError | ApiError) -> bool:
    """Whether it counts against the engine: not what the caller did, a queue that is full, or a process that ended and is
    started again already."""
    if isinstance(error, ApiError):
        return error.status >= 500
    return isinstance(error, Unavailable) and not isinstance(error, Gone | TimedOut | Interrupted)


async def hedge(gateway: Gateway, exchange: Exchange, lane: Lane, requests: Sequence[GenerationRequest]) -> Source:
    """The source whose answer begins first: of the lane, and after a while of its first fallback too."""
    first = await ask(exchange, lane, requests)
    exchange.aim(first.answers)
    begun = asyncio.ensure_future(first.answers.next())
    await asyncio.wait([begun], timeout=gateway.options.serving.hedge_seconds)
    others = [each for each in gateway.fallback_lanes() if each.running is not lane.running]
    if begun.done() or not others or not gateway.retries.spend():
        return await _begun(first, begun)
    second = await ask(exchange, others[0], requests)
    other = asyncio.ensure_future(second.answers.next())
    exchange.aim(_Both(first.answers, second.answers))
    await asyncio.wait([begun, other], return_when=asyncio.FIRST_COMPLETED)
    won = begun.done() and begun.exception() is None
    gateway.metrics.hedges.labels("first" if won else "second").inc()
    winner, loser = ((first, begun), (second, other)) if won else ((second, other), (first, begun))
    loser[1].cancel()
    await asyncio.gather(loser[1], return_exceptions=True)
    loser[0].close()
    return await _begun(*winner)


async def _begun(source: Source, events: asyncio.Future[list[GenerationEvent]]) -> Source:
    """The source with what has come of it. Raises what came instead, after closing it."""
    try:
        came = await events
    except BaseException:
        source.close()
        raise
    return msgspec.structs.replace(source, answers=_Begun(source.answers, came))


class _Begun:
    """Answers whose first events were taken already."""

    def __init__(self, answers: Answers, events: list[GenerationEvent]) -> None:
        self._answers = answers
        self._events = events

    @property
    def began(self) -> float:
        """When the first event came."""
        return self._answers.began

    async def next(self) -> list[GenerationEvent]:
        """What was taken, then what comes."""
        events, self._events = self._events, []
        return events or await self._answers.next()

    async def rest(self) -> list[GenerationEvent]:
        """All of it."""
        events, self._events = self._events, []
        return events + await self._answers.rest()

    def fail(self, error: KedgeError) -> None:
        """End with an error."""
        self._answers.fail(error)

    def close(self) -> None:
        """Cancel what is unfinished."""
        self._answers.close()


class _Both:
    """What fails when the caller of a hedged request goes away."""

    def __init__(self, *answers: Answers) -> None:
        self._answers = answers

    def fail(self, error: KedgeError) -> None:
        """End both."""
        for each in self._answers:
            each.fail(error)
