"""Endpoints: bound to what they follow, served by a gateway in this process, and looked at."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kedge.app.bound import bind, known_endpoint
from kedge.app.project import Project
from kedge.app.workplace import unpack, workplace
from kedge.config import resolve_secret
from kedge.core.errors import Invalid
from kedge.core.ports import TraceSink
from kedge.core.release import Endpoint
from kedge.core.settings import EndpointSettings
from kedge.govern.keys import hash_key
from kedge.registry.bundle import base_of
from kedge.serve.gateway.parts import Gateway, assemble
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.run import Ready, run_gateway
from kedge.serve.guards.open import open_guards
from kedge.serve.launch import Launcher
from kedge.store.traces.open import open_sink

__all__ = ["Ready", "bind", "serve"]

SWITCH_SECONDS = 0.0005  # a thread that counts answers must not hold up those that are being given, nor wait for them


def serve(
    project: Project,
    endpoint: str = "",
    *,
    host: str = "",
    port: int | None = None,
    ready: Callable[[Ready], None],
) -> None:
    """Serve an endpoint of the project file until SIGTERM or SIGINT, then let answers under way finish.

    `host` and `port` go before the file's. `ready` is called once it listens and its bundle is loaded. Raises why it
    cannot start; while nothing is released it starts and waits for the first release.
    """
    bound = bind(project, endpoint)
    settings = project.config.endpoints.get(bound.name) or EndpointSettings(model=bound.model, alias=bound.alias)
    sink = open_sink(project.config.store.traces)
    try:
        with workplace(project) as folder:
            run_gateway(
                _gateway(project, bound, folder, sink),
                host=host or settings.host,
                port=settings.port if port is None else port,
                ready=ready,
            )
    finally:
        sink.close()


def _gateway(project: Project, endpoint: Endpoint, folder: Path, sink: TraceSink) -> Gateway:
    """A gateway wired to the project's stores."""
    ledger, secret = project.ledger, project.secret
    serving = project.config.endpoints.get(endpoint.name) or EndpointSettings(model=endpoint.model)
    open_guards(serving.guards)  # one that is not there is found out before anything is loaded
    launcher = Launcher(
        unpack=lambda digest: unpack(project, digest, folder),
        settings=serving.replicas,
        base=lambda digest: base_of(project.blobs, digest),
        secret=lambda reference: resolve_secret(reference, root=project.root),
    )

    async def launch(digest: str) -> Running:
        bundle, engine = await launcher.launch(digest)
        return Running(digest=digest, bundle=bundle, engine=engine)

    ports = Ports(
        current=lambda: ledger.releases.current(endpoint.name),
        launch=launch,
        hash_key=lambda key: hash_key(key, secret),
        find_key=ledger.keys.find,
        beat=ledger.releases.beat,
        traces=sink,
        usage=ledger.usage,
        clock=project.clock,
        fallbacks={name: partial(ledger.releases.current, name) for name in _fallbacks(project, endpoint, serving)},
        cache_folder=project.state / "cache",
        hear=project.feedback.add,
        watch=_watch(project, endpoint.name),
    )
    container = project.config.gateway.container_key
    options = GatewayOptions(
        endpoint=endpoint.name,
        model=endpoint.model,
        secret=secret,
        container_key=resolve_secret(container, root=project.root) if container else "",
        sticky=_sticky(project, endpoint.name),
        settings=project.config.gateway,
        serving=serving,
        tenants=project.config.tenants,
    )
    gateway = assemble(options, ports)
    launcher.restarted = gateway.metrics.restarts.inc
    return gateway


def _fallbacks(project: Project, endpoint: Endpoint, serving: EndpointSettings) -> Sequence[str]:
    """The endpoints that step in for this one. `NotFound` if one of them does not exist."""
    for name in serving.fallbacks:
        if name == endpoint.name:
            raise Invalid("an endpoint cannot be its own fallback", address=name, hint="name another endpoint")
        known_endpoint(project, name)
    return serving.fallbacks


def _watch(project: Project, endpoint: str) -> Callable[[], bool]:
    """A look after the endpoint's rollout. What judges answers is loaded where there is a plan or a rollout."""
    settings = project.config.endpoints.get(endpoint)
    planned = settings is not None and settings.rollout is not None
    watch: Any = None

    def look() -> bool:
        nonlocal watch
        if watch is None:
            if not planned and project.ledger.rollouts.active(endpoint) is None:
                return False
            watch = importlib.import_module("kedge.app.watch").Watch(project, endpoint)
            sys.setswitchinterval(SWITCH_SECONDS)
        changed: bool = watch.look().changed
        return changed

    return look


def _sticky(project: Project, endpoint: str) -> bool:
    settings = project.config.endpoints.get(endpoint)
    return settings is None or settings.rollout is None or settings.rollout.sticky == "caller"
