"""Answers one request: limits, lane, engine, receipt, trace. Each stage is a file of its own; this is their order."""

from __future__ import annotations

import asyncio

from kedge.core.access import Key
from kedge.core.errors import KedgeError
from kedge.serve.gateway.errors import ApiError, api_error
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Reply, requests_of
from kedge.serve.gateway.routing import STICKY, Lane, Routes
from kedge.serve.gateway.shadow import shadow
from kedge.serve.gateway.source import ask
from kedge.serve.gateway.traces import Record


async def answer(gateway: Gateway, exchange: Exchange, key: Key, asked: Asked) -> int:
    """Answer, keep the trace, and return the status. Raises what happened before an answer began."""
    gateway.limits.enter(key)
    gateway.deadlines.begin(exchange)
    try:
        sticky = gateway.callers.name(exchange.header(STICKY) or asked.sticky, key.id)
        lane = choose_lane(gateway.follower.routes, gateway, asked.model, sticky)
        return await _answer(gateway, exchange, key, asked, lane)
    finally:
        gateway.deadlines.end(exchange)
        exchange.done()
        gateway.limits.leave()


async def _answer(gateway: Gateway, exchange: Exchange, key: Key, asked: Asked, lane: Lane) -> int:
    settings = gateway.options.settings
    wish = asked.wish(lane.running)
    choices = len(asked.prompts) * wish.choices
    record = Record(trace=exchange.id, route=asked.route, key=key, prompt=asked.content, choices=choices)
    record.bundle, record.role = lane.running.digest, lane.release.role
    try:
        requests = requests_of(asked, wish, exchange.id, prompt_limit=settings.max_prompt_tokens)
        source = await ask(gateway, exchange, lane, requests)
        record.bundle, record.role = source.lane.running.digest, source.lane.release.role
        try:
            await Reply(gateway, exchange, asked, wish, source.lane, record).serve(source.answers)
        finally:
            record.first_token = source.answers.began
            source.close()
    except (ApiError, KedgeError) as error:
        told = error if isinstance(error, ApiError) else api_error(error)
        record.status, record.error = told.status, told.message
        if not exchange.started:
            raise told from error
    except asyncio.CancelledError:
        record.status, record.error = 503, "the gateway stopped before the answer was finished"
        raise
    finally:
        record.count(gateway.metrics)
        record.write(gateway.ports.traces, endpoint=gateway.options.endpoint, content=settings.trace_content)
    shadow(gateway, asked, record)
    return record.status


def choose_lane(routes: Routes, gateway: Gateway, model: str, sticky: str = "") -> Lane:
    """The lane that answers for a model's name; for `name@version` the one that is exactly that. 404 lists them."""
    if model == gateway.options.model:
        return routes.choose(gateway.draw, sticky)
    for lane in routes.lanes.values():
        if lane.address == model:
            return lane
    known = [gateway.options.model, *(lane.address for lane in routes.lanes.values())]
    raise ApiError(
        404,
        f"the model {model[:80]!r} does not exist here; there is {', '.join(known)}",
        code="model_not_found",
        param="model",
    )
