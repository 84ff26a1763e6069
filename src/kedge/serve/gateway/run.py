"""Runs a gateway until it is told to stop, and lets every answer under way finish."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvloop

from kedge.core.errors import KedgeError, Unavailable
from kedge.serve.gateway.app import App
from kedge.serve.gateway.health import Pulse
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.server import HttpServer
from kedge.serve.gateway.watch import watch

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_THRESHOLDS = (20_000, 20, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where a gateway listens, and the bundle it answers with ("" while nothing is released)."""

    endpoint: str
    url: str
    model: str
    bundle: str


def run_gateway(gateway: Gateway, *, host: str, port: int, ready: Callable[[Ready], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once it listens. Raises why it cannot start."""
    with _Signals() as signals, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(gateway, listen(host, port), ready, signals))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. `Unavailable` if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error}", hint="choose another with --port; --port 0 takes a free one"
        ) from error


async def _run(gateway: Gateway, listener: socket.socket, ready: Callable[[Ready], None], signals: _Signals) -> None:
    url = _url(listener)
    pulse = Pulse(gateway, url)
    try:
        with signals.cancelling(asyncio.current_task()):
            await gateway.follower.start()
            for fallback in gateway.fallbacks:
                await fallback.look()
        await pulse.beat()
        settings = gateway.options.settings
        server = HttpServer(App(gateway), most_bytes=settings.max_body_bytes, seconds=settings.request_seconds)
        _collect_less()
        with signals.stopping(server):
            serving = server.serve(listener, ready=lambda: ready(_ready(gateway, url)), drain=settings.drain_seconds)
            await _serve(gateway, server, serving, pulse)
        await pulse.beat(stopped=True)
    except asyncio.CancelledError:
        if not signals.received:
            raise
    finally:
        listener.close()
        await gateway.copies.close()
        for follower in (gateway.follower, *gateway.fallbacks):
            await follower.close()
        await _give_back(gateway)


def _collect_less() -> None:
    """Have the collector of garbage pass over all that was loaded, and look less often: requests leave few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def _give_back(gateway: Gateway) -> None:
    """Leave nothing reserved that others could use."""
    gateway.cache.close()
    try:
        await gateway.budgets.tidy(idle=0.0)
    except KedgeError as error:
        logger.warning("what was reserved could not be given back", extra={"error": error.message})


async def _serve(gateway: Gateway, server: HttpServer, serving: Coroutine[Any, Any, None], pulse: Pulse) -> None:
    """Serve, follow the ledger and beat. If one of them breaks, the others end in good order and its error is raised."""
    background = [
        asyncio.create_task(gateway.follower.follow(gateway.options.settings.poll_seconds)),
        asyncio.create_task(pulse.run()),
        asyncio.create_task(gateway.budgets.run()),
        *(asyncio.create_task(each.follow(gateway.options.settings.poll_seconds)) for each in gateway.fallbacks),
        asyncio.create_task(watch(gateway, gateway.options.settings.watch_seconds)),
    ]
    for task in background:
        task.add_done_callback(lambda _: server.stop())
    await serving
    for task in background:
        task.cancel()
    for ended in await asyncio.gather(*background, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


class _Signals:
    """SIGTERM and SIGINT around a gateway: while it loads they stop it; while it serves the first lets every answer
    finish, and the next one does not."""

    def __init__(self) -> None:
        self.received = False
        self._act: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._receive) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def cancelling(self, task: asyncio.Task[Any] | None) -> Iterator[None]:
        """For the time of a block a signal cancels this task."""
        loop = asyncio.get_running_loop()
        self._act = (lambda: loop.call_soon_threadsafe(task.cancel)) if task is not None else None
        try:
            yield
        finally:
            self._act = None

    @contextmanager
    def stopping(self, server: HttpServer) -> Iterator[None]:
        """For the time of a block a signal stops this server."""
        loop = asyncio.get_running_loop()
        self._act = lambda: loop.call_soon_threadsafe(server.stop)
        try:
            yield
        finally:
            self._act = None

    def _receive(self, *_: object) -> None:
        self.received = True
        if self._act is not None:
            self._act()


def _ready(gateway: Gateway, url: str) -> Ready:
    stable = gateway.follower.routes.stable
    return Ready(
        endpoint=gateway.options.endpoint,
        url=url,
        model=stable.address if stable is not None else gateway.options.model,
        bundle=stable.running.digest if stable is not None else "",
    )


def _url(listener: socket.socket) -> str:
    """Where callers on this machine reach it."""
    host, port = listener.getsockname()[:2]
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
