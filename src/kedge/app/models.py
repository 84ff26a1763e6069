"""Models: registered, promoted, taken back, deleted, listed and exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kedge.app.aliases import move, newest_move, publish, resolve, standing
from kedge.app.project import Project
from kedge.app.verdicts import evidence, gates_in_force, read_verdict
from kedge.core.address import parse_address, parse_name
from kedge.core.errors import Conflict, Invalid, NotFound, Refused
from kedge.core.evaluation import Verdict
from kedge.core.hashing import canonical
from kedge.core.ledger import Ledger
from kedge.core.manifest import export_files, read_manifest
from kedge.core.model import AliasMove, ModelVersion
from kedge.deploy.promote import Permission, Wish, decide
from kedge.deploy.rollback import previous
from kedge.registry.bundle import describe_bundle, read_bundle

PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One version in a list: its aliases and what the newest verdict on its bundle says ("" without one)."""

    version: ModelVersion
    aliases: tuple[str, ...]
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One version with the evidence for it. `size` is in bytes, over all files of the bundle."""

    version: ModelVersion
    aliases: tuple[str, ...]
    bundle: dict[str, object]
    size: int
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written where."""

    address: str
    bundle: str
    folder: str
    files: tuple[str, ...]


def register(project: Project, name: str, bundle: str, *, alias: str = "candidate") -> ModelVersion:
    """Register a bundle by hand as the model's next version and point an alias at it. The same bundle again returns
    the version that it has. `NotFound` if the bundle is not on record."""
    parse_name(name, "model name")
    artifact = project.ledger.artifacts.get(bundle)
    wanted = ModelVersion(
        name=name,
        version=0,
        bundle=artifact.digest,
        model=read_bundle(project.blobs, artifact.digest).model,
        registered=project.clock.now(),
        by=project.principal,
    )
    return register_version(project, wanted, alias=alias)


def register_version(project: Project, wanted: ModelVersion, *, alias: str) -> ModelVersion:
    """Record a version and move its first alias, in one transaction. `Refused` for a protected alias."""
    parse_name(alias, "alias")
    if alias in project.config.models.protected:
        raise Refused(
            f"registering does not move the protected alias {alias!r}",
            address=f"{wanted.name}@{alias}",
            hint="register under another alias, as candidate, and promote it",
        )
    with project.ledger.begin() as tx:
        version = next((v for v in tx.models.versions(wanted.name) if v.bundle == wanted.bundle), None)
        if version is None:
            version = tx.models.register(wanted)
            facts = {"bundle": version.bundle, "model": version.model, "run": version.run, "card": version.card}
            with project.recorded("register", version.address, **facts):
                publish(project, tx)
        last = newest_move(tx, version.name, alias)
        if last is None or last.after != version.version:
            move(project, "alias", _move(project, tx, version, alias, reason="registered"))
    return version


def promote(project: Project, address: str, alias: str = PRODUCTION, *, override: str = "") -> AliasMove:
    """Point an alias at a version. A protected alias needs the passing verdict of each gate in force for exactly this
    bundle; `override` is the reason to do it without, and is audited. `Refused` says why, and is audited too.

    When the alias is there already nothing is written, and the answer says so with `moved` false.
    """
    parse_name(alias, "alias")
    try:
        with project.ledger.begin() as tx:
            return _promote(project, tx, resolve(tx, address, exact=True), alias, override.strip())
    except Refused as refusal:
        facts = {"wanted": address, "why": refusal.message, **judged(project.ledger, address)}
        with project.recorded("refuse", f"{parse_address(address).name}@{alias}", **facts):
            pass
        raise


def _promote(project: Project, tx: Ledger, version: ModelVersion, alias: str, override: str) -> AliasMove:
    last = newest_move(tx, version.name, alias)
    if last is not None and last.after == version.version:
        return standing(last)
    permission = permit(project, tx, version, alias, override=override)
    wanted = replace(
        _move(project, tx, version, alias, reason=override),
        verdict=permission.verdicts[-1] if permission.verdicts else "",
        override=permission.overridden,
    )
    move(project, "promote", wanted, verdicts=list(permission.verdicts), objections=list(permission.objections))
    return wanted


def permit(project: Project, tx: Ledger, version: ModelVersion, alias: str, *, override: str = "") -> Permission:
    """Whether a version may take over an alias now, and by what right. `Refused` says why not."""
    if alias not in project.config.models.protected:
        return Permission()
    wish = wish_for(tx, version, alias, override=override)
    return decide(wish, gates_in_force(project, version.name), evidence(project, tx, version.bundle))


def wish_for(tx: Ledger, version: ModelVersion, alias: str, *, override: str = "") -> Wish:
    """The wish to point an alias at a version, with what is on record of the version itself."""
    return Wish(
        model=version.name,
        version=version.version,
        bundle=version.bundle,
        alias=alias,
        override=override,
        author=version.by,
        card=version.card,
        approvals=tx.approvals.of(version.name, version.version),
    )


def rollback(project: Project, target: str, *, reason: str = "") -> AliasMove:
    """Return an alias (`schemas@production`, or `schemas` for production) to the exact bundle that was in force before.

    An endpoint's name means the alias that it follows. `NotFound`; `Refused` if nothing came before.
    """
    with project.ledger.begin() as tx:
        model, alias = _target(tx, target)
        last = newest_move(tx, model, alias)
        if last is None:
            raise NotFound(f"{model}@{alias} was never set", address=target, hint="kedge models lists the aliases")
        known = {version.version: version for version in tx.models.versions(model)}
        version = known[previous(tx.models.history(model, alias), known)]
        wanted = replace(_move(project, tx, version, alias, reason=reason.strip()), rollback=True)
        move(project, "rollback", wanted)
        return wanted


def _target(tx: Ledger, target: str) -> tuple[str, str]:
    read = parse_address(target)
    if read.version is not None:
        raise Invalid(f"an alias rolls back, not a version: {target}", hint=f"kedge rollback {read.name}@production")
    if read.alias is not None:
        return read.name, read.alias
    endpoint = next((e for e in tx.releases.endpoints() if e.name == read.name), None)
    return (endpoint.model, endpoint.alias) if endpoint else (read.name, PRODUCTION)


def delete(project: Project, address: str) -> ModelVersion:
    """Delete a version; its bytes stay until `kedge gc`. `Refused` while an alias or an endpoint refers to it."""
    read = parse_address(address)
    if read.version is None:
        raise Invalid(f"name one version: {address}", hint=f"as in kedge models delete {read.name}@1")
    with project.ledger.begin() as outer:
        version = resolve(outer, address)
        with project.recorded("delete", version.address, bundle=version.bundle, model=version.model) as tx:
            tx.models.remove(version.name, version.version)
        publish(project, outer)
    return version


def listing(project: Project, name: str = "") -> list[ModelLine]:
    """Every version of a model (or of all), oldest first."""
    pointing = _aliases(project.ledger, name)
    return [
        ModelLine(
            version=version,
            aliases=pointing.get((version.name, version.version), ()),
            outcome=_outcome(project.ledger, version.bundle),
        )
        for version in project.ledger.models.versions(name)
    ]


def judged(tx: Ledger, address: str) -> dict[str, object]:
    """What the newest verdict on a version says, for the record of a refusal: the version, the outcome, and how many
    cases would tell where it is undecided."""
    version = resolve(tx, address, exact=True)
    verdicts = tx.verdicts.about(version.bundle)
    if not verdicts:
        return {"version": version.version, "outcome": "", "needed": 0}
    needed = max((finding.needed for finding in read_verdict(verdicts[-1]).findings), default=0)
    return {"version": version.version, "outcome": str(verdicts[-1].outcome), "needed": needed}


def history(project: Project, address: str) -> list[AliasMove]:
    """All moves of an alias (`schemas@production`) or of every alias of a model (`schemas`), oldest first."""
    read = parse_address(address)
    if read.version is not None:
        raise Invalid(f"an alias has a history, not a version: {address}", hint=f"kedge models history {read.name}")
    aliases = [read.alias] if read.alias else [move.alias for move in project.ledger.models.aliases(read.name)]
    moves = [move for alias in aliases for move in project.ledger.models.history(read.name, alias)]
    if not moves:
        raise NotFound(f"{address} has no history", address=address, hint="kedge models lists models and aliases")
    return sorted(moves, key=lambda move: move.at)


def show(project: Project, address: str) -> ModelView:
    """One version (the newest if none is named) with its bundle, its aliases and every verdict on it."""
    version = resolve(project.ledger, address)
    return ModelView(
        version=version,
        aliases=_aliases(project.ledger, version.name).get((version.name, version.version), ()),
        bundle=describe_bundle(read_bundle(project.blobs, version.bundle)),
        size=sum(layer.size for layer in read_manifest(project.blobs, version.bundle).layers),
        verdicts=tuple(read_verdict(recorded) for recorded in project.ledger.verdicts.about(version.bundle)),
    )


def export(project: Project, address: str, folder: Path) -> Exported:
    """Write a version's files and its card to an empty folder in Hugging Face layout, for any tool that reads it."""
    version = resolve(project.ledger, address)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"not an empty folder: {folder}", address=str(folder), hint="name a new one")
    written = export_files(project.blobs, version.bundle, folder)
    if version.card:
        written += export_files(project.blobs, version.card, folder)
    facts = {"address": version.address, "bundle": version.bundle, "model": version.model, "card": version.card}
    described = {**facts, **describe_bundle(read_bundle(project.blobs, version.bundle))}
    (folder / "kedge.json").write_bytes(canonical(described))
    names = sorted({*(str(path.relative_to(folder.resolve())) for path in written), "kedge.json"})
    return Exported(address=version.address, bundle=version.bundle, folder=str(folder), files=tuple(names))


def _aliases(tx: Ledger, name: str) -> dict[tuple[str, int], tuple[str, ...]]:
    pointing: dict[tuple[str, int], tuple[str, ...]] = {}
    for alias in tx.models.aliases(name):
        at = (alias.model, alias.after)
        pointing[at] = (*pointing.get(at, ()), alias.alias)
    return pointing


def _outcome(tx: Ledger, bundle: str) -> str:
    verdicts = tx.verdicts.about(bundle)
    return str(verdicts[-1].outcome) if verdicts else ""


def _move(project: Project, tx: Ledger, version: ModelVersion, alias: str, *, reason: str) -> AliasMove:
    last = newest_move(tx, version.name, alias)
    return AliasMove(
        model=version.name,
        alias=alias,
        before=last.after if last else None,
        after=version.version,
        at=project.clock.now(),
        by=project.principal,
        reason=reason,
    )
