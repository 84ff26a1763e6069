"""Reclaims what nothing refers to, and keeps the rest with a reason.

The order makes a kill at any moment harmless: the ledger forgets an artifact first, in a transaction that looks again at
everything that is in force; only then go the blobs that no remaining artifact is made of. What was left over by a kill
is found the next time.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kedge.app.aliases import publish, resolve
from kedge.app.project import Project
from kedge.app.records import LedgerRecords
from kedge.app.references import MANY, alive, plan_ahead, references
from kedge.core.artifact import Artifact
from kedge.core.errors import Broken, Conflict, Invalid, NotFound, Refused
from kedge.core.ledger import Ledger, RunQuery
from kedge.core.manifest import read_manifest
from kedge.pipeline.lock import hold as hold_lock
from kedge.pipeline.types import Plan
from kedge.registry.reach import Reason

GRACE = 3600.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An artifact that stays, and why."""

    artifact: Artifact
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GcPlan:
    """What `collect` would do now. `blobs` and `bytes` are what would go, `young_*` what nothing refers to either but was
    written within the grace period or since a run began that still lives, `kept_bytes` what stays with a reason."""

    artifacts: tuple[Artifact, ...]
    blobs: int
    bytes: int
    young_blobs: int
    young_bytes: int
    kept: tuple[Kept, ...]
    kept_bytes: int
    workdirs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What went."""

    artifacts: tuple[Artifact, ...]
    blobs: int
    bytes: int
    workdirs: tuple[str, ...]
    traces: int = 0


def plan(project: Project, *, grace: float = GRACE) -> GcPlan:
    """What `collect` would reclaim, and why the rest is kept. Nothing is changed. `Broken` if a kept manifest is."""
    ledger, upcoming = project.ledger, plan_ahead(project)
    reasons = references(project, ledger, upcoming)
    before = _cutoff(ledger, grace)
    known = ledger.artifacts.all()
    doomed = {artifact.digest for artifact in known if artifact.digest not in reasons}
    kept = [artifact for artifact in known if artifact.digest not in doomed]
    parts = _parts(project, kept)
    sizes = {"kept": [0, 0], "young": [0, 0], "gone": [0, 0]}
    for blob in project.blobs.list():
        count = sizes["kept" if blob.digest in parts else "gone" if blob.modified < before else "young"]
        count[0] += 1
        count[1] += blob.size
    return GcPlan(
        artifacts=tuple(artifact for artifact in known if artifact.digest in doomed),
        blobs=sizes["gone"][0],
        bytes=sizes["gone"][1],
        young_blobs=sizes["young"][0],
        young_bytes=sizes["young"][1],
        kept=tuple(Kept(artifact=artifact, reason=str(reasons[artifact.digest])) for artifact in kept),
        kept_bytes=sizes["kept"][1],
        workdirs=tuple(str(path) for path in _stale(project, upcoming, before)),
    )


def collect(project: Project, *, grace: float = GRACE, traces_days: float | None = None) -> Collected:
    """Reclaim what nothing refers to and was not written within `grace` seconds; with `traces_days`, older traces too.

    Less than an hour of grace is `Refused` while a run lives: it may have written what it has not recorded yet.
    """
    LedgerRecords(project).close_dead()
    with _quiet(project, grace):
        before = _cutoff(project.ledger, grace)
        upcoming = plan_ahead(project)
        doomed = _forget(project, upcoming)
        blobs, size = _sweep(project, before)
        workdirs = _stale(project, upcoming, before)
        for path in workdirs:
            shutil.rmtree(path, ignore_errors=True)
            path.with_suffix(".log").unlink(missing_ok=True)
        with project.ledger.begin() as tx:
            publish(project, tx)
    traces = 0
    if traces_days is not None:
        traces = project.traces.purge(project.clock.now().timestamp() - traces_days * DAY)
    return Collected(
        artifacts=doomed, blobs=blobs, bytes=size, workdirs=tuple(str(path) for path in workdirs), traces=traces
    )


def delete(project: Project, address: str) -> Artifact:
    """Forget one artifact, by digest or as `name@version`; its bytes go with the next `collect`. `Refused` with the
    reason while something refers to it."""
    upcoming = plan_ahead(project)
    with project.ledger.begin() as outer:
        artifact = _find(outer, address)
        reason = references(project, outer, upcoming).get(artifact.digest)
        if reason is not None:
            raise _refused(artifact, reason)
        with project.recorded("delete", artifact.digest, kind=str(artifact.kind)) as tx:
            tx.artifacts.remove([artifact.digest])
    return artifact


def hold(project: Project, address: str, reason: str) -> Artifact:
    """Protect an artifact, and with it all it was made from, until it is released. `NotFound`; `Invalid`."""
    if not reason.strip():
        raise Invalid("a hold needs a reason", hint="say why, as in: kedge gc hold DIGEST 'evidence in case 7'")
    with project.ledger.begin() as outer:
        artifact = _find(outer, address)
        with project.recorded("hold", artifact.digest, reason=reason.strip()) as tx:
            tx.artifacts.hold(artifact.digest, reason.strip())
    return artifact


def release(project: Project, address: str) -> Artifact:
    """End a hold. `NotFound` if there is none."""
    with project.ledger.begin() as outer:
        artifact = _find(outer, address)
        with project.recorded("release hold", artifact.digest) as tx:
            tx.artifacts.release(artifact.digest)
    return artifact


def _find(tx: Ledger, address: str) -> Artifact:
    return tx.artifacts.get(resolve(tx, address).bundle if "@" in address else address)


def _refused(artifact: Artifact, reason: Reason) -> Refused:
    return Refused(
        f"{artifact.digest} cannot be deleted: {reason}",
        address=artifact.digest,
        hint="end what refers to it first: move the alias, delete the version, release the hold",
    )


@contextmanager
def _quiet(project: Project, grace: float) -> Iterator[None]:
    """With less than an hour of grace no run may live, nor begin on this machine until we are done."""
    if grace >= GRACE:
        yield
        return
    if grace < 0:
        raise Invalid(f"the grace period is negative: {grace}", hint="give seconds, as in --grace 0")
    hint = f"wait until it ends, or keep the grace period at {GRACE:.0f} seconds or more"
    try:
        with hold_lock(project.state / "run.lock", now=project.clock.now()):
            living = alive(project.ledger)
            if living:
                raise Refused(f"run {living[0].id} of stage {living[0].stage} is alive", hint=hint)
            yield
    except Conflict as error:
        raise Refused(error.message, address=error.address, hint=hint) from error


def _cutoff(tx: Ledger, grace: float) -> float:
    """The time before which a blob must have been put last to go: not within the grace period, nor since the first
    attempt at what is running now."""
    begun = [time.time()]
    for run in alive(tx):
        attempts = tx.runs.search(RunQuery(where=f"key = '{run.key}'", limit=MANY))
        begun += [attempt.started.timestamp() for attempt in (run, *attempts)]
    return min(time.time() - grace, *begun)


def _forget(project: Project, upcoming: Plan | None) -> tuple[Artifact, ...]:
    """Remove from the ledger, in one transaction, every artifact that nothing refers to at that moment."""
    with project.ledger.begin() as outer:
        reasons = references(project, outer, upcoming)
        doomed = tuple(artifact for artifact in outer.artifacts.all() if artifact.digest not in reasons)
        if doomed:
            digests = [artifact.digest for artifact in doomed]
            with project.recorded("gc", project.config.project.name, artifacts=digests) as tx:
                tx.artifacts.remove(digests)
    return doomed


def _sweep(project: Project, before: float) -> tuple[int, int]:
    """Delete blobs last put before a time that no artifact on record is made of; how many, and how large."""
    there = list(project.blobs.list())  # looked at before the ledger: what is recorded later is newer than `before`
    parts = _parts(project, project.ledger.artifacts.all())
    count = size = 0
    for blob in there:
        if blob.digest not in parts and blob.modified < before and project.blobs.delete(blob.digest, before=before):
            count += 1
            size += blob.size
    return count, size


def _parts(project: Project, artifacts: list[Artifact]) -> set[str]:
    """Every blob the artifacts are made of. `Broken` if a manifest cannot be read: then nobody knows what it needs."""
    parts: set[str] = set()
    for artifact in artifacts:
        try:
            manifest = read_manifest(project.blobs, artifact.digest)
        except (NotFound, Broken) as error:
            raise Broken(
                f"nothing is reclaimed: the {artifact.kind} {artifact.digest} on record cannot be read: {error.message}",
                address=artifact.digest,
                hint="restore its blobs from a copy; or, if nothing refers to it: kedge gc delete DIGEST",
            ) from error
        parts.add(artifact.digest)
        parts.add(manifest.config.digest)
        parts.update(layer.digest for layer in manifest.layers)
    return parts


def _stale(project: Project, upcoming: Plan | None, before: float) -> list[Path]:
    """Folders of attempts that no run goes on with: nothing lives there, and the next `kedge run` has no use for them."""
    work = project.state / "work"
    if upcoming is None or not work.is_dir():
        return []
    wanted = {step.key for step in upcoming.steps} | {run.key for run in alive(project.ledger)}
    names = {key.removeprefix("sha256:") for key in wanted}
    return sorted(
        path for path in work.iterdir() if path.is_dir() and path.name not in names and path.stat().st_mtime < before
    )
