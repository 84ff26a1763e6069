"""GET /health, for whoever watches; and the heartbeat that the gateway writes of itself."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

import msgspec

from kedge.core.errors import KedgeError
from kedge.core.release import Heartbeat
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway

logger = logging.getLogger(__name__)

ROUTE = "/health"
BEAT_SECONDS = 1.0


async def show_health(gateway: Gateway, exchange: Exchange) -> int:
    """200 when a request would be answered now, otherwise 503. Needs no key and says nothing else."""
    status = 200 if gateway.healthy else 503
    said = {"status": "ok" if gateway.healthy else "unavailable", "endpoint": gateway.options.endpoint}
    await exchange.reply(status, msgspec.json.encode(said))
    return status


class Pulse:
    """Writes the gateway's heartbeat once a second, and a last one when it stops."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self._gateway = gateway
        self._url = url

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self, *, stopped: bool = False) -> None:
        """Say once how things are. A ledger that cannot take it is logged, and serving goes on."""
        try:
            await asyncio.to_thread(self._gateway.ports.beat, self._word(stopped=stopped))
        except KedgeError as error:
            logger.warning("the heartbeat was not written", extra={"error": error.message})

    def _word(self, *, stopped: bool) -> Heartbeat:
        stable = self._gateway.follower.routes.stable
        detail = self._gateway.follower.trouble
        if not detail and stable is None:
            detail = "nothing is released to this endpoint yet"
        return Heartbeat(
            endpoint=self._gateway.options.endpoint,
            url=self._url,
            host=socket.gethostname(),
            pid=os.getpid(),
            bundle=stable.running.digest if stable is not None else "",
            healthy=self._gateway.healthy and not stopped,
            at=self._gateway.ports.clock.now(),
            detail="stopped" if stopped else detail,
        )
