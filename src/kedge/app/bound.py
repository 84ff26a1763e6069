"""Endpoints as they are bound: what each follows, and what it is owed."""

from __future__ import annotations

from kedge.app.aliases import newest_move
from kedge.app.project import Project
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, NotFound
from kedge.core.ledger import Ledger
from kedge.core.release import Endpoint, Release, Role


def bind(project: Project, name: str = "") -> Endpoint:
    """The endpoint of this name (or the only one), recorded as following what the project file says, and sent what its
    alias points at. `NotFound`; `Invalid` if there are several and none is named."""
    wanted = known_endpoint(project, name)
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


def known_endpoint(project: Project, name: str = "") -> Endpoint:
    """What the project file says of an endpoint (or of the only one); without a word there, what was bound before.

    `NotFound`; `Invalid` if there are several and none is named.
    """
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
