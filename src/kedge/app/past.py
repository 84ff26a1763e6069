"""What was in force at any moment, and what was decided when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kedge.app import models
from kedge.app.project import Project
from kedge.core.address import parse_address
from kedge.core.audit import AuditRecord
from kedge.core.errors import Invalid, NotFound
from kedge.core.model import AliasMove

ENDPOINT = "endpoint"
CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What an alias pointed at, or a role of an endpoint served, at a moment. `since` is when it began; `bundle` is empty
    when the version has been deleted since."""

    name: str
    version: str
    bundle: str
    since: datetime
    by: str
    reason: str = ""
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of somebody's wish to move an alias: `promoted`, `overridden`, `rolled back`, `refused`, `undecided`, or
    `set` where nothing had to be decided. `needed` cases would tell where it is undecided."""

    at: datetime
    alias: str
    version: str
    what: str
    by: str
    needed: int = 0
    why: str = ""


def moment(text: str) -> datetime:
    """A time as `2026-03-03T10:00`, in this machine's zone unless it names one. `Invalid`."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise Invalid(f"not a time: {text!r}", hint="write it as 2026-03-03T10:00 or 2026-03-03T10:00+01:00") from error


def in_force(project: Project, address: str, at: datetime) -> list[InForce]:
    """What was in force at a moment: of one alias (`schemas@production`), every alias of a model (`schemas`), or every
    role of an endpoint (`endpoint:schemas`). Nothing for what was not set by then; `NotFound` for what never was."""
    read = parse_address(address)
    if read.kind == ENDPOINT:
        return _of_endpoint(project, read.name, at)
    newest = {(move.model, move.alias): move for move in models.history(project, address) if move.at <= at}
    bundles = {version.version: version.bundle for version in project.ledger.models.versions(read.name)}
    return [
        InForce(
            name=f"{move.model}@{move.alias}",
            version=f"{move.model}@{move.after}",
            bundle=bundles.get(move.after, ""),
            since=move.at,
            by=move.by,
            reason=move.reason,
        )
        for move in newest.values()
    ]


def _of_endpoint(project: Project, name: str, at: datetime) -> list[InForce]:
    releases = project.ledger.releases.history(name)
    if not releases:
        raise NotFound(f"nothing was ever released to an endpoint {name}", address=name, hint="kedge status")
    newest = {release.role: release for release in releases if release.at <= at}
    return [
        InForce(
            name=f"{name} {release.role}",
            version=f"{release.model}@{release.version}",
            bundle=release.bundle,
            since=release.at,
            by=release.by,
            reason=release.reason,
            share=release.share,
        )
        for release in newest.values()
        if release.share > 0.0
    ]


def decisions(project: Project, address: str) -> list[Decision]:
    """Every move of an alias, or of every alias of a model, and every wish that was refused, oldest first."""
    read = parse_address(address)
    try:
        moves = models.history(project, address)
    except NotFound:
        moves = []
    refused = [_refused(record) for record in _refusals(project) if _about(record, read.name, read.alias or "")]
    if not moves and not refused:
        raise NotFound(f"{address} has no history", address=address, hint="kedge models lists models and aliases")
    return sorted([*(_moved(move) for move in moves), *refused], key=lambda each: each.at)


def _moved(move: AliasMove) -> Decision:
    what = "rolled back" if move.rollback else "overridden" if move.override else "promoted" if move.verdict else "set"
    return Decision(
        at=move.at,
        alias=f"{move.model}@{move.alias}",
        version=f"{move.model}@{move.after}",
        what=what,
        by=move.by,
        why=move.reason or (f"verdict {move.verdict[:19]}" if move.verdict else ""),
    )


def _refused(record: AuditRecord) -> Decision:
    detail, model = record.detail, record.subject.partition("@")[0]
    version = detail.get("version")
    return Decision(
        at=record.at,
        alias=record.subject,
        version=f"{model}@{version}" if version else str(detail["wanted"]),
        what="undecided" if detail.get("outcome") == "undecided" else "refused",
        by=record.by,
        needed=int(detail.get("needed", 0)),
        why=str(detail["why"]),
    )


def _refusals(project: Project) -> Iterator[AuditRecord]:
    after = 0
    while records := project.ledger.audit.records(after=after, limit=CHUNK):
        yield from (record for record in records if record.action == "refuse")
        after = records[-1].seq


def _about(record: AuditRecord, model: str, alias: str) -> bool:
    """Whether a refusal is of a move of this alias, or of any alias of the model."""
    name, _, wanted = record.subject.partition("@")
    is_move = "wanted" in record.detail and record.detail["wanted"] != "approve"
    return is_move and name == model and alias in ("", wanted)
