"""GET /v1/models and /v1/models/NAME: what this endpoint answers to."""

from __future__ import annotations

from typing import Any

import msgspec

from kedge.core.access import Key
from kedge.core.errors import Unavailable
from kedge.serve.gateway.answer import choose_lane
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routing import Lane

ROUTE = "/v1/models"


async def list_models(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """The endpoint's model by name, and each version in force."""
    routes = gateway.follower.routes
    entries = [_entry(lane.address, lane) for lane in routes.lanes.values()]
    if routes.stable is not None:
        entries.insert(0, _entry(gateway.options.model, routes.stable))
    await exchange.reply(200, msgspec.json.encode({"object": "list", "data": entries}))
    return 200


async def show_model(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """One of them."""
    name = exchange.path.removeprefix(f"{ROUTE}/")
    routes = gateway.follower.routes
    lane = routes.stable if name == gateway.options.model else choose_lane(routes, gateway, name)
    if lane is None:
        raise Unavailable("nothing is released to this endpoint yet")
    await exchange.reply(200, msgspec.json.encode(_entry(name, lane)))
    return 200


def _entry(name: str, lane: Lane) -> dict[str, Any]:
    release = lane.release
    return {
        "id": name,
        "object": "model",
        "created": int(release.at.timestamp()),
        "owned_by": "kedge",
        "kedge": {
            "version": lane.address,
            "bundle": release.bundle,
            "role": release.role,
            "engine": lane.running.bundle.engine.name,
            "context": lane.running.engine.facts.context,
            "can": lane.running.engine.facts.can,
        },
    }
