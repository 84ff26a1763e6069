"""Every path of the gateway: its method, who may call it, what answers, and how it says that it does not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from kedge.core.access import Key, Scope
from kedge.serve.gateway import (
    chat,
    completions,
    container,
    embeddings,
    feedback,
    health,
    inference,
    metrics,
    models,
    openapi,
    responses,
)
from kedge.serve.gateway.errors import ApiError
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway

Handle = Callable[[Gateway, Exchange, Key], Awaitable[int]]
Show = Callable[[Gateway, Exchange], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path with its method, the scope a key needs for it, and what answers. `contained`: it needs no key of the
    caller's where the gateway has one for it, and is not there otherwise."""

    method: str
    scope: Scope
    handle: Handle
    refuse: Callable[[ApiError], bytes] = ApiError.body
    contained: bool = False


async def _metrics(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    await metrics.show_metrics(gateway.metrics, exchange)
    return 200


async def _openapi(gateway: Gateway, exchange: Exchange) -> int:
    await exchange.reply(200, openapi.document())
    return 200


def _ask(handle: Handle, *, method: str = "POST") -> Route:
    return Route(method=method, scope=Scope.ASK, handle=handle)


def _infer(handle: Handle, *, method: str = "GET") -> Route:
    return Route(method=method, scope=Scope.ASK, handle=handle, refuse=inference.refuse)


# What needs no key, and says nothing that needs one.
OPEN: Mapping[str, Show] = {
    health.ROUTE: health.show_health,
    openapi.ROUTE: _openapi,
    inference.LIVE: inference.show_live,
    inference.READY: inference.show_ready,
}
ROUTES: Mapping[str, Route] = {
    chat.ROUTE: _ask(chat.complete_chat),
    completions.ROUTE: _ask(completions.complete),
    embeddings.ROUTE: _ask(embeddings.embed),
    responses.ROUTE: _ask(responses.respond),
    models.ROUTE: _ask(models.list_models, method="GET"),
    f"{models.ROUTE}/NAME": _ask(models.show_model, method="GET"),
    feedback.ROUTE: _ask(feedback.give_feedback),
    inference.ROUTE: _infer(inference.show_server),
    **{
        f"{inference.ROUTE}/models/NAME{version}{verb}": _infer(handle, method=method)
        for version in ("", "/versions/VERSION")
        for verb, (method, handle) in inference.VERBS.items()
    },
    container.PING: Route(method="GET", scope=Scope.ASK, handle=container.ping, contained=True),
    container.INVOCATIONS: Route(method="POST", scope=Scope.ASK, handle=container.invoke, contained=True),
    "/metrics": Route(method="GET", scope=Scope.METRICS, handle=_metrics),
}
_NAMED = re.compile(
    r"/v2/models/[^/]+(?P<version>/versions/[^/]+)?(?P<verb>/(?:ready|infer|generate|generate_stream))?"
)


def name_of(path: str) -> str:
    """The route a path belongs to ("" for none), with a name in place of what varies."""
    if path in OPEN or (path in ROUTES and "NAME" not in path):
        return path
    if path.startswith(f"{models.ROUTE}/"):
        return f"{models.ROUTE}/NAME"
    match = _NAMED.fullmatch(path)
    if match is None:
        return ""
    return f"/v2/models/NAME{'/versions/VERSION' if match['version'] else ''}{match['verb'] or ''}"
