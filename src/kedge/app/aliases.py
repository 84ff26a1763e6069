"""Aliases that move: where one points, what the endpoints that follow it are sent, and the names stock tools see."""

from __future__ import annotations

import logging
from dataclasses import replace

from kedge.app.project import Project
from kedge.core.address import Address, parse_address
from kedge.core.errors import Broken, Invalid, NotFound, Unavailable
from kedge.core.ledger import Ledger
from kedge.core.model import AliasMove, ModelVersion
from kedge.core.release import Release, Role
from kedge.store.blobs.index import publish_refs, ref_name

logger = logging.getLogger(__name__)


def resolve(ledger: Ledger, address: str, *, exact: bool = False) -> ModelVersion:
    """The version that `name@7`, `name@alias` or `name` (the newest) is. `exact` wants a version or an alias named."""
    read = parse_address(address)
    if read.kind not in ("", "model"):
        raise Invalid(f"not a model: {address}", address=address, hint="write name@version or name@alias")
    if read.version is not None:
        return ledger.models.version(read.name, read.version)
    versions = ledger.models.versions(read.name)
    if not versions:
        names = ", ".join(sorted({version.name for version in ledger.models.versions()})) or "none yet"
        raise NotFound(f"there is no model {read.name}", address=address, hint=f"models: {names}")
    if read.alias is not None:
        return ledger.models.version(read.name, _follow(ledger, read))
    if exact:
        raise Invalid(f"which version of {read.name}?", address=address, hint=f"the newest is {versions[-1].address}")
    return versions[-1]


def referred(ledger: Ledger, address: str) -> tuple[str, ...]:
    """What a gate needs of the version that a rule names: its address, its bundle and its evaluations from the newest
    on. Nothing for an alias, or a model, that was never set; `NotFound` for a version that does not exist."""
    read = parse_address(address)
    if read.alias is not None and newest_move(ledger, read.name, read.alias) is None:
        return ()
    version = resolve(ledger, address, exact=True)
    made = [run.outputs["evaluation"] for run in ledger.runs.using(version.bundle) if "evaluation" in run.outputs]
    return (version.address, version.bundle, *dict.fromkeys(reversed(made)))


def _follow(ledger: Ledger, address: Address) -> int:
    moves = {move.alias: move for move in ledger.models.aliases(address.name)}
    if address.selector not in moves:
        known = ", ".join(f"{address.name}@{alias}" for alias in moves) or "none yet"
        raise NotFound(f"there is no alias {address}", address=str(address), hint=f"aliases: {known}")
    return moves[address.selector].after


def newest_move(ledger: Ledger, model: str, alias: str) -> AliasMove | None:
    """The alias's last move, or None if it was never set."""
    return next((move for move in ledger.models.aliases(model) if move.alias == alias), None)


def move(project: Project, action: str, wanted: AliasMove, **detail: object) -> None:
    """Point an alias somewhere else: its move, the releases to the endpoints that follow it, the audit record and the
    names in the blob store, all in one transaction."""
    subject = f"{wanted.model}@{wanted.alias}"
    facts: dict[str, object] = {
        "before": wanted.before,
        "after": wanted.after,
        "reason": wanted.reason,
        "verdict": wanted.verdict,
        "override": wanted.override,
    }
    with project.ledger.begin() as outer:
        version = outer.models.version(wanted.model, wanted.after)
        followers = [e for e in outer.releases.endpoints() if (e.model, e.alias) == (wanted.model, wanted.alias)]
        facts |= {"bundle": version.bundle, "endpoints": [endpoint.name for endpoint in followers]}
        with project.recorded(action, subject, **facts, **detail) as tx:
            tx.models.move(wanted)
            for endpoint in followers:
                tx.releases.send(_release(endpoint.name, version, wanted))
        publish(project, outer)


def _release(endpoint: str, version: ModelVersion, move: AliasMove) -> Release:
    return Release(
        id=0,
        endpoint=endpoint,
        model=version.name,
        version=version.version,
        bundle=version.bundle,
        role=Role.STABLE,
        share=1.0,
        at=move.at,
        by=move.by,
        reason=move.reason or f"{move.model}@{move.alias}",
    )


def publish(project: Project, tx: Ledger) -> None:
    """Write every version and alias into the blob store's index, inside the transaction that changed them.

    The index only serves stock tools and is written whole each time: where it cannot be, a rollback still happens.
    """
    bundles = {(version.name, version.version): version.bundle for version in tx.models.versions()}
    refs = {ref_name(name, number): bundle for (name, number), bundle in bundles.items()}
    refs |= {ref_name(alias.model, alias.alias): bundles[alias.model, alias.after] for alias in tx.models.aliases()}
    try:
        publish_refs(project.blobs, refs)
    except (NotFound, Broken, Unavailable) as error:
        logger.warning("the index of the blob store was not written", extra={"error": error.message})


def standing(last: AliasMove) -> AliasMove:
    """The answer to a wish that is fulfilled already: a move from where the alias is to where it is."""
    return replace(last, before=last.after)
