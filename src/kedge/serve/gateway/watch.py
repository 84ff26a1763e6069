"""Looks after a rollout while the gateway serves: what it decides is in force with the next look at the ledger."""

from __future__ import annotations

import asyncio
import logging

from kedge.core.errors import KedgeError
from kedge.serve.gateway.parts import Gateway

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0


async def watch(gateway: Gateway, seconds: float) -> None:
    """Look every so many seconds, until cancelled. A look that fails in any way is logged, and serving goes on."""
    look = gateway.ports.watch
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        if look is None:
            continue
        looking = asyncio.ensure_future(asyncio.to_thread(look))
        await asyncio.wait([looking])
        error = looking.exception()
        pause = seconds if error is None else min(2 * pause, _LONGEST_PAUSE)
        if error is not None:
            said = error.message if isinstance(error, KedgeError) else repr(error)
            logger.warning("the rollout could not be looked after", extra={"error": said, "again_in": pause})
        elif looking.result():
            await gateway.follower.look()
