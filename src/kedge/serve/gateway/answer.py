"""Answers one request: limits, route, engine, receipt, trace."""

from __future__ import annotations

import asyncio

from kedge.core.access import Key
from kedge.core.errors import KedgeError
from kedge.serve.gateway.errors import ApiError, api_error, invalid
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Reply
from kedge.serve.gateway.routing import Lane, Routes
from kedge.serve.gateway.traces import Record


async def answer(gateway: Gateway, exchange: Exchange, key: Key, asked: Asked) -> int:
    """Answer, keep the trace, and return the status. Raises what happened before an answer began."""
    with gateway.limits.entered(key):
        lane = choose_lane(gateway.follower.routes, gateway, asked.model)
        wish = asked.wish(lane.running.bundle.sampling)
        choices = len(asked.prompts) * wish.choices
        if choices > gateway.options.settings.max_choices:
            raise invalid(
                f"at most {gateway.options.settings.max_choices} choices are made for a request",
                param="prompt",
                code="limit_exceeded",
            )
        record = Record(trace=exchange.id, route=asked.route, key=key, prompt=asked.content, choices=choices)
        record.bundle = lane.running.digest
        reply = Reply(gateway, exchange, asked, wish, lane, record)
        with lane.running.used():
            try:
                await reply.serve()
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
                record.write(
                    gateway.ports.traces,
                    endpoint=gateway.options.endpoint,
                    content=gateway.options.settings.trace_content,
                )
    return record.status


def choose_lane(routes: Routes, gateway: Gateway, model: str) -> Lane:
    """The lane that answers for a model's name; for `name@version` the one that is exactly that. 404 lists them."""
    if model == gateway.options.model:
        return routes.choose(gateway.draw)
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
