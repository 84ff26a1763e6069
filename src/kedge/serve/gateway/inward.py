"""Asks a gateway of this process, without a connection: the whole flow of a request, receipts and traces included."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from kedge.core.access import Key, Scope
from kedge.core.errors import KedgeError
from kedge.core.trace import new_trace_id
from kedge.serve.gateway.errors import ApiError, Header, api_error
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routes import ROUTES
from kedge.serve.lines import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Inward:
    """Asks as a key, which is not looked up: whoever holds the gateway may do what it may."""

    gateway: Gateway
    key: Key

    async def ask(self, path: str, body: bytes) -> Outcome:
        """POST a body; the whole answer, or the error as a caller over HTTP gets it."""
        wire = _Wire()
        exchange = Exchange(
            wire, id=new_trace_id(secrets.SystemRandom()), method="POST", path=path, headers={}, body=body
        )
        route = ROUTES.get(path)
        try:
            if route is None or route.method != "POST" or route.scope is not Scope.ASK:
                raise ApiError(404, f"there is no POST {path[:80]}", code="not_found")
            await route.handle(self.gateway, exchange, self.key)
        except (ApiError, KedgeError) as error:
            told = error if isinstance(error, ApiError) else api_error(error)
            return Outcome(status=told.status, body=told.body(), id=exchange.id, headers=_named(told.headers))
        return Outcome(status=wire.status, body=bytes(wire.body), id=exchange.id, headers=wire.headers)


class _Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = bytearray()

    def start(self, status: int, headers: Sequence[Header], body: bytes | None) -> None:
        self.status, self.headers = status, _named(headers)
        self.body += body or b""

    def part(self, body: bytes) -> None:
        self.body += body

    def end(self) -> None:
        """Nothing more comes."""

    def drain(self) -> Awaitable[None] | None:
        return None

    def cut(self) -> None:
        """Nobody reads slowly here."""


def _named(headers: Sequence[Header]) -> Mapping[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}
