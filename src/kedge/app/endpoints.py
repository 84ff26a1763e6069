"""Endpoints: bound to what they follow, served by a gateway in this process, and looked at."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kedge.app.aliases import newest_move
from kedge.app.project import Project
from kedge.core.bundle import Bundle
from kedge.core.catalogue import nearest
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.ledger import Ledger
from kedge.core.manifest import read_manifest
from kedge.core.ports import TraceSink
from kedge.core.release import Endpoint, Release, Role
from kedge.core.settings import EndpointSettings
from kedge.govern.keys import hash_key
from kedge.registry.bundle import read_bundle
from kedge.serve.gateway.parts import Gateway, assemble
from kedge.serve.gateway.ports import GatewayOptions, Ports
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.run import Ready, run_gateway
from kedge.serve.supervisor import Launcher
from kedge.store.traces.open import open_sink

__all__ = ["Ready", "bind", "serve"]


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
        with _workplace(project) as folder:
            run_gateway(
                _gateway(project, bound, folder, sink),
                host=host or settings.host,
                port=settings.port if port is None else port,
                ready=ready,
            )
    finally:
        sink.close()


def bind(project: Project, name: str = "") -> Endpoint:
    """The endpoint of this name (or the only one), recorded as following what the project file says, and sent what its
    alias points at. `NotFound`; `Invalid` if there are several and none is named."""
    wanted = _endpoint(project, name)
    known = {endpoint.name: endpoint for endpoint in project.ledger.releases.endpoints()}
    with project.ledger.begin() as tx:
        if known.get(wanted.name) != wanted:
            with project.recorded("bind", wanted.name, model=wanted.model, alias=wanted.alias) as inner:
                inner.releases.bind(wanted)
        release = _due(project, tx, wanted)
        if release is not None:
            facts = {"model": release.model, "version": release.version, "bundle": release.bundle}
            with project.recorded("release", wanted.name, **facts) as inner:
                inner.releases.send(release)
    return wanted


def _endpoint(project: Project, name: str) -> Endpoint:
    """What the project file says of an endpoint; without a word there, what was bound before."""
    known = {bound.name: bound for bound in project.ledger.releases.endpoints()}
    for said, settings in project.config.endpoints.items():
        known[said] = Endpoint(name=said, model=settings.model, alias=settings.alias)
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if not name and known:
        raise Invalid("there are several endpoints", hint=f"name one: {', '.join(sorted(known))}")
    if name not in known:
        written = "write [endpoints.NAME] with model = ... in kedge.toml"
        raise NotFound(
            f"no endpoint is called {name!r}" if name else "there is no endpoint yet",
            address=name,
            hint=nearest(name, known) if known else written,
        )
    return known[name]


def _due(project: Project, tx: Ledger, endpoint: Endpoint) -> Release | None:
    """The release an endpoint is owed: what its alias points at, if it was not sent that."""
    move = newest_move(tx, endpoint.model, endpoint.alias)
    if move is None:
        return None
    version = tx.models.version(endpoint.model, move.after)
    stable = tx.releases.current(endpoint.name).get(Role.STABLE)
    if stable is not None and (stable.model, stable.version) == (version.name, version.version):
        return None
    return Release(
        id=0,
        endpoint=endpoint.name,
        model=version.name,
        version=version.version,
        bundle=version.bundle,
        role=Role.STABLE,
        share=1.0,
        at=project.clock.now(),
        by=project.principal,
        reason=f"{endpoint.model}@{endpoint.alias}",
    )


def _gateway(project: Project, endpoint: Endpoint, folder: Path, sink: TraceSink) -> Gateway:
    """A gateway wired to the project's stores."""
    ledger, secret = project.ledger, project.secret
    launcher = Launcher(lambda digest: _unpack(project, digest, folder))

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
        clock=project.clock,
    )
    options = GatewayOptions(
        endpoint=endpoint.name, model=endpoint.model, secret=secret, settings=project.config.gateway
    )
    gateway = assemble(options, ports)
    launcher.restarted = gateway.metrics.restarts.inc
    return gateway


def _unpack(project: Project, digest: str, folder: Path) -> tuple[Bundle, Path]:
    """A bundle and a folder with its verified files: linked to the blob store's where that can be, else copied.

    `NotFound`; `Broken` if bytes are not what their digest says, or a title leaves the folder.
    """
    root = (folder / digest.removeprefix("sha256:")[:16]).resolve()
    for layer in read_manifest(project.blobs, digest).layers:
        target = (root / layer.title).resolve()
        if not layer.title or not target.is_relative_to(root) or target == root:
            raise Broken(f"a file name leaves its folder: {layer.title!r}", address=digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(project.blobs.fetch(layer.digest), target)
    return read_bundle(project.blobs, digest), root


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


@contextmanager
def _workplace(project: Project) -> Iterator[Path]:
    """A private folder for unpacked bundles, gone at the end; those of gateways that were killed are swept first."""
    serving = project.state / "serve"
    serving.mkdir(mode=0o700, exist_ok=True)
    for left in serving.iterdir():
        _sweep(left)
    with tempfile.TemporaryDirectory(dir=serving) as name, (Path(name) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _sweep(left: Path) -> None:
    """Remove a folder whose gateway no longer holds its lock."""
    try:
        with (left / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    except OSError:  # its gateway lives, or another one sweeps
        return
