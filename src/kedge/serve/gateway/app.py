"""What happens to every request: finds the route, checks the key, and turns every error into the API's shape."""

from __future__ import annotations

import logging

from kedge.core.access import Key, Scope
from kedge.core.errors import KedgeError
from kedge.serve.gateway.errors import ApiError, api_error
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routes import OPEN, ROUTES, Route, name_of

logger = logging.getLogger(__name__)


class App:
    """Answers the requests of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        name = name_of(exchange.path)
        try:
            status = await self._answer(exchange, name)
        except ApiError as error:
            status = await _refuse(exchange, error, name)
        except KedgeError as error:
            status = await _refuse(exchange, api_error(error), name)
        except Exception:
            logger.exception("a request failed in a way that was not foreseen", extra={"trace": exchange.id})
            status = await _refuse(exchange, ApiError(500, "the gateway failed", code="internal_error"), name)
        self.gateway.metrics.count(name or "other", status)
        if status >= 500 and name not in OPEN:
            logger.warning("a request was not answered", extra={"trace": exchange.id, "route": name, "status": status})

    async def _answer(self, exchange: Exchange, name: str) -> int:
        if name in OPEN:
            _check_method(exchange, "GET")
            return await OPEN[name](self.gateway, exchange)
        route = ROUTES.get(name)
        if route is not None and route.contained and not self.gateway.options.container_key:
            route = None
        key = await self._who(exchange, route)
        if route is None:
            raise ApiError(404, f"there is no {exchange.method} {exchange.path[:80]}", code="not_found")
        _check_method(exchange, route.method)
        return await route.handle(self.gateway, exchange, key)

    async def _who(self, exchange: Exchange, route: Route | None) -> Key:
        """The key a request runs as: the caller's own, or the gateway's on the paths of a container."""
        scope = route.scope if route is not None else Scope.ASK
        if route is not None and route.contained and not exchange.header(b"authorization"):
            return await self.gateway.keys.check_secret(self.gateway.options.container_key, scope)
        return await self.gateway.keys.check(exchange, scope)


def _check_method(exchange: Exchange, method: str) -> None:
    if exchange.method != method:
        said = f"{exchange.path} takes {method}, not {exchange.method}"
        raise ApiError(405, said, code="method_not_allowed", headers=[(b"allow", method.encode())])


async def _refuse(exchange: Exchange, error: ApiError, name: str) -> int:
    """Answer with an error as the route says it, unless an answer has begun."""
    if not exchange.started:
        body = ROUTES[name].refuse(error) if name in ROUTES else error.body()
        await exchange.reply(error.status, body, [JSON, *error.headers])
    return error.status
