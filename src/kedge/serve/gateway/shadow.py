"""Shadow copies: what a new bundle would have said, asked after the caller has its answer, and kept as a trace.

No caller waits for a copy or sees one fail.
"""

from __future__ import annotations

import asyncio

from kedge.core.access import Key
from kedge.core.errors import KedgeError
from kedge.core.generation import GenerationEvent
from kedge.core.release import Role
from kedge.core.trace import new_trace_id
from kedge.serve.gateway.errors import ApiError, TimedOut, api_error
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, refusal, requests_of
from kedge.serve.gateway.routing import Lane
from kedge.serve.gateway.traces import Record


def shadow(gateway: Gateway, asked: Asked, answered: Record) -> None:
    """Copy a request that was answered, if there is a shadow that is to have it. Never blocks."""
    lane = gateway.follower.routes.shadow
    if lane is None or answered.status != 200 or answered.bundle == lane.running.digest:
        return
    if gateway.draw.random() < lane.release.share:
        key, parent = answered.key, answered.trace
        gateway.copies.offer(lambda: _answer(gateway, asked, key, parent))


async def _answer(gateway: Gateway, asked: Asked, key: Key, parent: str) -> None:
    """Put a request to the shadow, if there still is one, and keep what it says or why it does not."""
    lane = gateway.follower.routes.shadow
    if lane is None:
        return
    settings = gateway.options.settings
    name = new_trace_id(gateway.draw)
    record = Record(trace=name, route=asked.route, key=key, prompt=asked.content, choices=1)
    record.bundle, record.role, record.parent = lane.running.digest, Role.SHADOW, parent
    lane.running.enter()
    try:
        async with asyncio.timeout(settings.request_seconds):
            await _ask(asked, lane, record, prompt_limit=settings.max_prompt_tokens)
    except TimeoutError:
        _fail(record, api_error(TimedOut("the shadow's answer took too long")))
    except KedgeError as error:
        _fail(record, api_error(error))
    except ApiError as error:
        _fail(record, error)
    finally:
        lane.running.leave()
    record.write(gateway.ports.traces, endpoint=gateway.options.endpoint, content=settings.trace_content)


def _fail(record: Record, error: ApiError) -> None:
    record.status, record.error = error.status, error.message


async def _ask(asked: Asked, lane: Lane, record: Record, *, prompt_limit: int) -> None:
    wish = asked.wish(lane.running)
    requests = requests_of(asked, wish, record.trace, prompt_limit=prompt_limit, whole=True)
    record.answers = [[] for _ in requests]
    places = {request.id: place for place, request in enumerate(requests)}
    answering = await lane.running.engine.ask(requests)
    try:
        for event in await answering.rest():
            _take(record, places[event.id], event, first=places[event.id] % wish.choices == 0)
    finally:
        record.first_token = answering.began
        answering.close()


def _take(record: Record, place: int, event: GenerationEvent, *, first: bool) -> None:
    if event.text:
        record.add(place, event.text)
    if event.finish in ("error", "cancelled"):
        raise refusal(event)
    if event.finish:
        record.completion_tokens += event.completion_tokens
        record.prompt_tokens += event.prompt_tokens if first else 0
