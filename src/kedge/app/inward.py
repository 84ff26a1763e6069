"""A version that answers in this process, for as long as it is asked: its engine, and a gateway without a door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from kedge.app.aliases import resolve
from kedge.app.project import Project
from kedge.app.workplace import unpack, workplace
from kedge.config import resolve_secret
from kedge.core.access import Key, Scope
from kedge.core.model import ModelVersion
from kedge.core.ports import TraceSink
from kedge.core.release import Release, Role
from kedge.core.settings import EndpointSettings
from kedge.serve.gateway.inward import Inward
from kedge.serve.gateway.parts import assemble
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Running
from kedge.serve.launch import Launcher
from kedge.store.traces.open import open_sink

ENDPOINT = "batch"


@asynccontextmanager
async def opened(project: Project, address: str, *, at_once: int) -> AsyncIterator[Inward]:
    """The version at an address, ready to be asked; receipts and traces are as those of any endpoint."""
    version = resolve(project.ledger, address)
    sink = open_sink(project.config.store.traces)
    try:
        with workplace(project) as folder:
            launcher = Launcher(
                unpack=lambda digest: unpack(project, digest, folder),
                secret=lambda reference: resolve_secret(reference, root=project.root),
            )

            async def launch(digest: str) -> Running:
                bundle, engine = await launcher.launch(digest)
                return Running(digest=digest, bundle=bundle, engine=engine)

            gateway = assemble(_options(project, version, at_once), _ports(project, version, launch, sink))
            try:
                await gateway.follower.start()
                yield Inward(gateway=gateway, key=_key(project))
            finally:
                await gateway.follower.close()
                await gateway.copies.close()
                gateway.cache.close()
    finally:
        sink.close()


def _options(project: Project, version: ModelVersion, at_once: int) -> GatewayOptions:
    limits = project.config.gateway
    settings = replace(limits, max_waiting=max(limits.max_waiting, at_once), requests_per_minute=0, tokens_per_minute=0)
    return GatewayOptions(
        endpoint=ENDPOINT,
        model=version.name,
        secret=project.secret,
        settings=replace(settings, streams=0),
        serving=EndpointSettings(model=version.name),
    )


def _ports(project: Project, version: ModelVersion, launch: object, sink: TraceSink) -> Ports:
    release = Release(
        id=0,
        endpoint=ENDPOINT,
        model=version.name,
        version=version.version,
        bundle=version.bundle,
        role=Role.STABLE,
        share=1.0,
        at=project.clock.now(),
        by=project.principal,
    )
    return Ports(
        current=lambda: {Role.STABLE: release},
        launch=launch,  # type: ignore[arg-type]  # the coroutine function above
        hash_key=lambda _: "",
        find_key=lambda _: None,
        beat=lambda _: None,
        traces=sink,
        usage=project.ledger.usage,
        clock=project.clock,
    )


def _key(project: Project) -> Key:
    """Whoever runs the batch."""
    return Key(
        id=ENDPOINT, name=ENDPOINT, hash="", scopes=(Scope.ASK,), created=project.clock.now(), by=project.principal
    )
