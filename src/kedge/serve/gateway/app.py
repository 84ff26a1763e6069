"""The gateway as an ASGI application: finds the route, checks the key, and turns every error into the API's shape."""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kedge.core.access import Key, Scope
from kedge.core.errors import KedgeError
from kedge.serve.gateway import chat, completions, feedback, health, metrics, models
from kedge.serve.gateway.errors import ApiError, api_error
from kedge.serve.gateway.exchange import JSON, Exchange, Message, Receive, Send
from kedge.serve.gateway.parts import Gateway

logger = logging.getLogger(__name__)

Handle = Callable[[Gateway, Exchange, Key], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path with its method, the scope a key needs for it, and what answers."""

    method: str
    scope: Scope
    handle: Handle


async def _metrics(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    await metrics.show_metrics(gateway.metrics, exchange)
    return 200


ROUTES: dict[str, Route] = {
    chat.ROUTE: Route(method="POST", scope=Scope.ASK, handle=chat.complete_chat),
    completions.ROUTE: Route(method="POST", scope=Scope.ASK, handle=completions.complete),
    models.ROUTE: Route(method="GET", scope=Scope.ASK, handle=models.list_models),
    f"{models.ROUTE}/NAME": Route(method="GET", scope=Scope.ASK, handle=models.show_model),
    feedback.ROUTE: Route(method="POST", scope=Scope.ASK, handle=feedback.give_feedback),
    "/metrics": Route(method="GET", scope=Scope.METRICS, handle=_metrics),
}


class App:
    """Serves one gateway over ASGI."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._draw = random.Random(
            secrets.randbits(256)
        )  # ids must differ, not be secret; asking the system costs 30 us

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        exchange = Exchange(scope, receive, send, id=f"{self._draw.getrandbits(128):032x}")
        name = _name(exchange.path)
        try:
            status = await self._answer(exchange, name)
        except ApiError as error:
            status = await _refuse(exchange, error)
        except KedgeError as error:
            status = await _refuse(exchange, api_error(error))
        except Exception:
            logger.exception("a request failed in a way that was not foreseen", extra={"trace": exchange.id})
            status = await _refuse(exchange, ApiError(500, "the gateway failed", code="internal_error"))
        self.gateway.metrics.count(name or "other", status)
        if status >= 500 and name != health.ROUTE:
            logger.warning("a request was not answered", extra={"trace": exchange.id, "route": name, "status": status})

    async def _answer(self, exchange: Exchange, name: str) -> int:
        if name == health.ROUTE:
            _check_method(exchange, "GET")
            return await health.show_health(self.gateway, exchange)
        route = ROUTES.get(name)
        key = await self.gateway.keys.check(exchange, route.scope if route else Scope.ASK)
        if route is None:
            raise ApiError(404, f"there is no {exchange.method} {exchange.path[:80]}", code="not_found")
        _check_method(exchange, route.method)
        return await route.handle(self.gateway, exchange, key)


def _name(path: str) -> str:
    """The route a path belongs to ("" for none), with a name in place of what varies."""
    if path in ROUTES or path == health.ROUTE:
        return path
    return f"{models.ROUTE}/NAME" if path.startswith(f"{models.ROUTE}/") else ""


def _check_method(exchange: Exchange, method: str) -> None:
    if exchange.method != method:
        said = f"{exchange.path} takes {method}, not {exchange.method}"
        raise ApiError(405, said, code="method_not_allowed", headers=[(b"allow", method.encode())])


async def _refuse(exchange: Exchange, error: ApiError) -> int:
    """Answer with an error, unless an answer has begun."""
    if not exchange.started:
        await exchange.reply(error.status, error.body(), [JSON, *error.headers])
    return error.status
