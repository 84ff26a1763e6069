"""Where the answers to one request come from: the cache, another caller's flight, or an engine."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from kedge.core.bundle import Sampling
from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.serve.answers import Answers
from kedge.serve.gateway.cache.answers import Embed, Question
from kedge.serve.gateway.cache.flights import Flight, Replay
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routing import Lane, Running

CACHE = b"x-kedge-cache"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Answers on their way and the lane that they come from, which stays open until `close`.

    `cache` says what answers in the engine's place: "", exact or semantic.
    """

    lane: Lane
    answers: Answers
    cache: str = ""

    def close(self) -> None:
        """Cancel what is unfinished, and let go of the lane."""
        self.answers.close()
        self.lane.running.leave()


async def find_source(
    gateway: Gateway, exchange: Exchange, tenant: str, lane: Lane, requests: Sequence[GenerationRequest]
) -> Source:
    """The cheapest source there is for these requests. Raises why the lane's engine does not answer."""
    question = None
    if gateway.cache.on and exchange.header(CACHE) != "off":
        question = gateway.cache.question(tenant, lane.running.digest, requests)
    if question is None:
        if gateway.cache.on:
            exchange.add_header(CACHE, b"off")
        return await ask(exchange, lane, requests)
    names = [request.id for request in requests]
    embed = _embedder(gateway, lane.running) if question.alike is not None else None
    found = gateway.cache.find(question)
    if found is None and gateway.cache.looks_further(question):
        found = await gateway.cache.find_further(question, embed)
    if found is not None:
        exchange.add_header(CACHE, b"hit" if found.how == "exact" else b"semantic")
        lane.running.enter()
        answers = Replay(found.kept.events, names, at=time.perf_counter())
        return Source(lane=lane, answers=answers, cache=found.how)
    flight = gateway.flights.get(question.fingerprint)
    shared = flight is not None and not flight.over
    if flight is None or not shared:
        flight = await _depart(gateway, lane, requests, question, embed)
    exchange.add_header(CACHE, b"hit" if shared else b"miss")
    lane.running.enter()
    return Source(lane=lane, answers=flight.join(names), cache="exact" if shared else "")


async def ask(exchange: Exchange, lane: Lane, requests: Sequence[GenerationRequest]) -> Source:
    """Ask the lane's engine. Raises why it does not answer."""
    lane.running.enter()
    try:
        answers = await lane.running.engine.ask(requests)
    except BaseException:
        lane.running.leave()
        raise
    return Source(lane=lane, answers=answers)


async def _depart(
    gateway: Gateway,
    lane: Lane,
    requests: Sequence[GenerationRequest],
    question: Question,
    embed: Embed | None,
) -> Flight:
    """Ask the engine for everybody who asks the same while it answers."""
    names = [request.id for request in requests]
    flight = gateway.flights[question.fingerprint] = Flight(names)
    running = lane.running

    def land() -> None:
        if gateway.flights.get(question.fingerprint) is flight:
            del gateway.flights[question.fingerprint]

    running.enter()
    try:
        answers = await running.engine.ask(requests)
    except BaseException:
        running.leave()
        land()
        flight.fail(Unavailable("the engine is not there for this request"))
        raise

    def keep(events: list[GenerationEvent]) -> Coroutine[Any, Any, None] | None:
        land()
        return gateway.cache.keep(question, events, names, embed)

    def landed() -> None:
        land()
        running.leave()

    flight.depart(answers, keep, landed)
    return flight


def _embedder(gateway: Gateway, running: Running) -> Embed | None:
    """The model's own vectors, where the endpoint wants them."""
    if gateway.cache.settings.embedder != "model":
        return None

    async def embed(text: str) -> bytes:
        name = f"embed-{gateway.draw.getrandbits(64):x}"
        request = GenerationRequest(id=name, sampling=Sampling(max_tokens=1), prompt=text, embed=True)
        answers = await running.engine.ask([request])
        try:
            event = (await answers.rest())[-1]
        finally:
            answers.close()
        if not event.embedding:
            raise Unavailable(f"the engine gives no vectors for the semantic cache: {event.error}")
        return event.embedding

    return embed
