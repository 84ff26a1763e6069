"""Answers one request. Each stage is a file of its own; this is their order:

limits, lane, charges (budgets), guards in, source (cache, flight or engine; attempts), guards out, reply (with its
receipt), trace.
"""

from __future__ import annotations

import asyncio

import msgspec

from kedge.core.access import Key
from kedge.core.errors import KedgeError
from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.attempts import attempts, hedge, is_engines_fault, worth_another
from kedge.serve.gateway.charges import Charge, reserve
from kedge.serve.gateway.errors import ApiError, api_error
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.failed import keep_failure
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Reply, requests_of
from kedge.serve.gateway.routing import STICKY, Lane, Routes
from kedge.serve.gateway.screen import screen
from kedge.serve.gateway.shadow import shadow
from kedge.serve.gateway.source import find_source
from kedge.serve.gateway.traces import Record
from kedge.serve.guards.outflow import Guarded
from kedge.serve.guards.watch import Minutes


async def answer(gateway: Gateway, exchange: Exchange, key: Key, asked: Asked) -> int:
    """Answer, keep the trace, and return the status. Raises what happened before an answer began."""
    gateway.limits.enter()
    gateway.deadlines.begin(exchange)
    try:
        if not key.terms.opens_model(asked.model):
            said = f"this API key does not open the model {asked.model[:80]!r}"
            raise ApiError(403, said, code="insufficient_permissions", param="model")
        sticky = gateway.callers.name(exchange.header(STICKY) or asked.sticky, key.id)
        lane = choose_lane(gateway.follower.routes, gateway, asked.model, sticky)
        return await _answer(gateway, exchange, key, asked, lane)
    finally:
        gateway.deadlines.end(exchange)
        exchange.done()
        gateway.limits.leave()


class Call(msgspec.Struct, kw_only=True):
    """One request on its way through the stages. `wish` is what `lane` makes of it."""

    exchange: Exchange
    asked: Asked
    lane: Lane
    wish: Wish
    charge: Charge | None
    record: Record


async def _answer(gateway: Gateway, exchange: Exchange, key: Key, asked: Asked, lane: Lane) -> int:
    """Charge the caller, answer, and keep the trace, whatever becomes of it."""
    settings = gateway.options.settings
    wish = asked.wish(lane.running)
    charge = await reserve(gateway.budgets, gateway.options.serving.prices, key, asked, wish, lane.running)
    choices = len(asked.prompts) * wish.choices
    record = Record(trace=exchange.id, route=asked.route, key=key, prompt=asked.content, choices=choices)
    record.model = asked.model
    if charge is not None:
        exchange.add_headers(charge.ticket.headers)
    call = Call(exchange=exchange, asked=asked, lane=lane, wish=wish, charge=charge, record=record)
    try:
        await _try(gateway, call)
    except (ApiError, KedgeError) as error:
        told = error if isinstance(error, ApiError) else api_error(error)
        record.status, record.error = told.status, told.message
        if not exchange.started:
            raise told from error
    except asyncio.CancelledError:
        record.status, record.error = 503, "the gateway stopped before the answer was finished"
        raise
    finally:
        if charge is not None:
            charge.settle(record)
        record.count(gateway.metrics)
        record.write(gateway.ports.traces, endpoint=gateway.options.endpoint, content=settings.trace_content)
    shadow(gateway, call.asked, record)
    return record.status


async def _try(gateway: Gateway, call: Call) -> None:
    """Ask one engine after another, until one answers or nothing more can be done."""
    gateway.retries.earn()
    failure: KedgeError | ApiError | None = None
    first, asked = call.lane, call.asked
    for lane in attempts(gateway, first):
        call.record.role = first.release.role if lane is first else "fallback"
        if lane is not call.lane:
            call.lane, call.asked, call.wish = lane, asked, asked.wish(lane.running)
        try:
            await _attempt(gateway, call)
        except (ApiError, KedgeError) as error:
            if is_engines_fault(error):
                gateway.breakers.failed(lane.running)
            if call.exchange.started or not worth_another(error):
                raise
            keep_failure(gateway, call.record, error)
            call.record.begin_again()
            failure = error
        else:
            return
    assert failure is not None
    raise failure


async def _attempt(gateway: Gateway, call: Call) -> None:
    """Have one lane answer, past the guards before and behind it."""
    exchange, record, wish, lane = call.exchange, call.record, call.wish, call.lane
    record.bundle, record.address, record.wish = lane.running.digest, lane.address, wish
    watch = gateway.guarding.of(lane.running)
    if watch.inbound or watch.outbound:
        record.minutes, record.prompt = Minutes(record.key.tenant), ""
        call.asked = screen(watch, call.asked, wish, record.minutes)
        record.prompt = call.asked.content
    limit = gateway.options.settings.max_prompt_tokens
    if call.charge is not None and call.charge.prompt_limit:
        limit = min(limit or call.charge.prompt_limit, call.charge.prompt_limit)
    hedged = bool(gateway.options.serving.hedge_seconds)  # who answers first is known by the first piece
    whole = not (wish.stream or hedged)
    requests = requests_of(call.asked, wish, exchange.id, prompt_limit=limit, whole=whole)
    if hedged:
        source = await hedge(gateway, exchange, lane, requests)
    else:
        source = await find_source(gateway, exchange, record.key.tenant, lane, requests)
    record.bundle, record.address, record.cache = source.lane.running.digest, source.lane.address, source.cache
    answers = source.answers
    if watch.outbound:
        assert record.minutes is not None
        answers = Guarded(answers, watch, record.minutes, [request.id for request in requests])
    exchange.aim(answers)
    try:
        await Reply(gateway, exchange, call.asked, wish, source.lane, record).serve(answers)
    finally:
        record.first_token = answers.began
        source.close()
    if not source.cache:
        gateway.breakers.succeeded(source.lane.running)


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
