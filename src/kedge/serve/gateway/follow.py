"""Follows the ledger: what is released is loaded, warmed and put in force, and what came before is let finish.

The lanes in force change in one assignment. The engine of the bundle before is kept warm for a rollback, older ones
are closed when their last answer is done. A bundle that cannot load changes nothing but what the gateway says of itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kedge.core.errors import Broken, KedgeError
from kedge.core.release import Release, Role
from kedge.serve.gateway.metrics import Metrics
from kedge.serve.gateway.ports import Ports
from kedge.serve.gateway.routing import Lane, Routes, Running

logger = logging.getLogger(__name__)

_SERVED = (Role.STABLE, Role.CANARY, Role.SHADOW)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A bundle that did not load: why, and when to try again."""

    error: KedgeError
    again: float
    pause: float


class Follower:
    """Keeps `routes` what the ledger says, without failing a request."""

    def __init__(self, ports: Ports, metrics: Metrics, *, time: Callable[[], float] = time.monotonic) -> None:
        self.routes = Routes()
        self.trouble = ""
        self._ports = ports
        self._metrics = metrics
        self._time = time
        self._running: dict[str, Running] = {}
        self._launching: dict[str, asyncio.Task[Running]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._failed: dict[str, Failure] = {}
        self._before = ""  # the digest of the stable bundle that was in force before this one

    async def start(self) -> None:
        """Load what is released now and put it in force. Raises why it cannot; nothing released is no error."""
        wanted = _wanted(await asyncio.to_thread(self._ports.current))
        self._step(wanted)
        await asyncio.gather(*self._launching.values(), return_exceptions=True)
        self._step(wanted)
        stable = wanted.get(Role.STABLE)
        if stable is not None and stable.bundle in self._failed:
            raise self._failed[stable.bundle].error

    async def follow(self, seconds: float) -> None:
        """Look every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self) -> None:
        """Read what is released, and do what can be done about it now. Loading goes on in the background."""
        try:
            releases = await asyncio.to_thread(self._ports.current)
        except KedgeError as error:
            self._say(f"the ledger cannot be read: {error.message}")
            return
        self._step(_wanted(releases))

    async def close(self) -> None:
        """Close every engine."""
        self.routes = Routes()
        for task in self._launching.values():
            task.cancel()
        await asyncio.gather(*self._launching.values(), return_exceptions=True)
        for digest, task in self._launching.items():
            self._land(digest, task)
        for running in self._running.values():
            self._retire(running, wait=False)
        self._running.clear()
        await asyncio.gather(*self._closing)

    def _step(self, wanted: Mapping[Role, Release]) -> None:
        bundles = {release.bundle for release in wanted.values()}
        for digest in [digest for digest, task in self._launching.items() if task.done()]:
            self._land(digest, self._launching.pop(digest))
        for digest in bundles - self._running.keys() - self._launching.keys():
            failure = self._failed.get(digest)
            if failure is None or self._time() >= failure.again:
                self._launching[digest] = asyncio.create_task(self._ports.launch(digest))
        for digest in self._launching.keys() - bundles:
            self._launching[digest].cancel()
        self._switch(wanted)
        self._say(next((self._failed[d].error.message for d in sorted(bundles) if d in self._failed), ""))
        self._failed = {digest: failure for digest, failure in self._failed.items() if digest in bundles}
        answering = {lane.running.digest for lane in self.routes.lanes.values()}
        for digest in self._running.keys() - bundles - answering - {self._before}:
            self._retire(self._running.pop(digest))

    def _switch(self, wanted: Mapping[Role, Release]) -> None:
        """Put in force what is loaded; a role whose bundle is not stays as it was."""
        lanes = {role: lane for role, lane in self.routes.lanes.items() if role in wanted}
        for role, release in wanted.items():
            running = self._running.get(release.bundle)
            if running is not None:
                lanes[role] = Lane(release=release, running=running)
        if {r: lane.release for r, lane in lanes.items()} == {r: lane.release for r, lane in self.routes.lanes.items()}:
            return
        stable, then = lanes.get(Role.STABLE), self.routes.stable
        if then is not None and stable is not None and then.running is not stable.running:
            self._before = then.running.digest
            self._metrics.swaps.labels("switched").inc()
        self.routes = Routes(lanes=lanes)
        self._metrics.show_bundles(lanes.values())
        if stable is not None:
            logger.info("this bundle answers now", extra={"bundle": stable.running.digest, "model": stable.address})

    def _land(self, digest: str, task: asyncio.Task[Running]) -> None:
        """Take in a bundle that has loaded, or why it has not."""
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._running[digest] = task.result()
            self._failed.pop(digest, None)
            return
        if not isinstance(error, KedgeError):
            logger.error("loading failed in a way that was not foreseen", exc_info=error, extra={"bundle": digest})
            error = Broken(f"{type(error).__name__}: {error}", address=digest)
        before = self._failed.get(digest)
        pause = min(2 * before.pause, _LONGEST_PAUSE) if before else _FIRST_PAUSE
        self._failed[digest] = Failure(error=error, again=self._time() + pause, pause=pause)
        self._metrics.swaps.labels("failed").inc()
        logger.warning("a bundle cannot be loaded", extra={"bundle": digest, "error": str(error), "again_in": pause})

    def _retire(self, running: Running, *, wait: bool = True) -> None:
        task = asyncio.create_task(self._close(running, wait=wait))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, running: Running, *, wait: bool) -> None:
        if wait:
            await running.idle()
        await running.engine.close()

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("the gateway goes on with what it has", extra={"trouble": trouble})
        self.trouble = trouble


def _wanted(releases: Mapping[Role, Release]) -> dict[Role, Release]:
    """The releases that get traffic, or copies of it."""
    return {role: releases[role] for role in _SERVED if role in releases and releases[role].share > 0}
