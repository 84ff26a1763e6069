"""Datasets: list versions, look at rows and rejects, export, and compare."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kedge.app.project import Project
from kedge.core.address import parse_address
from kedge.core.artifact import ArtifactKind
from kedge.core.dataset import DatasetManifest, Reject, Row, Split
from kedge.core.errors import Invalid, KedgeError, NotFound
from kedge.core.manifest import read_manifest
from kedge.core.ports import Progress, Silent
from kedge.core.run import Run
from kedge.data.card import card as make_card
from kedge.data.diff import diff as compare_rows
from kedge.data.export import export as export_rows
from kedge.data.export import segment_files
from kedge.data.locate import find_rows
from kedge.data.profile import count_reasons
from kedge.data.read import read_dataset, read_rejects
from kedge.data.types import DatasetDiff

SILENT = Silent()

_HEX = re.compile(r"(?:sha256:)?[0-9a-f]{6,64}")
_ROW = re.compile(r"[0-9a-f]{6,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """One version of a dataset. `parent` is the version before it; `run` and `stage` made it first. `restored` is
    the version whose content it has again."""

    name: str
    version: int
    digest: str
    rows: int
    splits: Mapping[str, int]
    rejected: int
    size: int
    parent: str = ""
    restored: str = ""
    run: str = ""
    stage: str = ""
    made: datetime | None = None

    @property
    def address(self) -> str:
        """`support@2`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A version with its profile, its rejects by reason and how it was made."""

    version: DatasetVersion
    manifest: DatasetManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """A row, or what was said when it was rejected, and the datasets it is in."""

    id: str
    datasets: tuple[str, ...]
    row: Row | None = None
    split: Split | None = None
    cluster: str = ""
    reject: Reject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsView:
    """What a dataset left out: how many by reason, and some of them."""

    dataset: str
    total: int
    reasons: Mapping[str, int]
    rejects: tuple[Reject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written where."""

    dataset: str
    folder: str
    files: tuple[str, ...]


def listing(project: Project) -> list[DatasetVersion]:
    """Every version of every dataset, oldest first."""
    newest: dict[str, DatasetVersion] = {}
    versions = []
    for artifact in project.ledger.artifacts.all():
        if artifact.kind is not ArtifactKind.DATASET:
            continue
        manifest = read_dataset(project.blobs, artifact.digest)
        before = newest.get(manifest.name)
        made = project.ledger.runs.producing(artifact.digest)
        version = DatasetVersion(
            name=manifest.name,
            version=before.version + 1 if before else 1,
            digest=artifact.digest,
            rows=manifest.rows,
            splits=count_rows(manifest),
            rejected=sum(manifest.rejects.values()),
            size=artifact.size,
            parent=manifest.parent or (before.digest if before else ""),
            restored=manifest.restored,
            **_origin(made),
        )
        newest[manifest.name] = version
        versions.append(version)
    return versions


def count_rows(manifest: DatasetManifest) -> Mapping[str, int]:
    """How many rows each split has, in the order of the life cycle."""
    return {str(split): manifest.profile["splits"][split] for split in Split}


def resolve(project: Project, address: str) -> DatasetVersion:
    """A version by `name` (the newest), `name@2`, or the beginning of its digest. `NotFound` lists the names."""
    versions = listing(project)
    if _HEX.fullmatch(address):
        wanted = address if address.startswith("sha256:") else f"sha256:{address}"
        found = [version for version in versions if version.digest.startswith(wanted)]
        if len(found) > 1:
            raise Invalid(
                f"{len(found)} datasets begin with {address}", address=address, hint="give more of the digest"
            )
        if found:
            return found[0]
    parsed = parse_address(address)
    named = [version for version in versions if version.name == parsed.name]
    if parsed.alias:
        raise Invalid(f"datasets have no aliases: {address}", address=address, hint=f"write {parsed.name}@1")
    if parsed.version is not None:
        named = [version for version in named if version.version == parsed.version]
    if not named:
        names = ", ".join(dict.fromkeys(version.address for version in versions))
        raise NotFound(f"no dataset is called {address}", address=address, hint=f"there are: {names or 'none yet'}")
    return named[-1]


def show(project: Project, what: str) -> DatasetView | RowView:
    """A dataset version, or a row by its id or the first digits of it. `NotFound`."""
    try:
        version = resolve(project, what)
    except KedgeError:
        if not _ROW.fullmatch(what):
            raise
        return show_row(project, what)
    return DatasetView(version=version, manifest=read_dataset(project.blobs, version.digest))


def show_row(project: Project, row: str) -> RowView:
    """A row as the newest dataset that has it holds it; or why it was rejected. `NotFound`; `Invalid` if ambiguous."""
    digests = [
        artifact.digest
        for artifact in reversed(project.ledger.artifacts.all())
        if artifact.kind is ArtifactKind.DATASET
    ]
    found = [(digest, placed) for digest in digests for placed in find_rows(project.blobs, digest, row)]
    ids = sorted({placed.row.id for _, placed in found})
    if len(ids) > 1:
        raise Invalid(f"{len(ids)} rows begin with {row}", address=row, hint="they are " + ", ".join(ids[:5]))
    if found:
        placed = found[0][1]
        datasets = tuple(digest for digest, _ in found)
        return RowView(id=ids[0], datasets=datasets, row=placed.row, split=placed.split, cluster=placed.cluster)
    for digest in digests:
        for reject in read_rejects(project.blobs, digest):
            if reject.row and reject.row.startswith(row):
                return RowView(id=reject.row, datasets=(digest,), reject=reject)
    raise NotFound(f"no row {row} in any dataset", address=row, hint="kedge data list shows the datasets")


def rejects(project: Project, dataset: str, *, reason: str = "", limit: int = 50) -> RejectsView:
    """What a dataset left out, all or for one reason (`leak` means every reason that begins so)."""
    version = resolve(project, dataset)
    every = read_rejects(project.blobs, version.digest)
    chosen = [each for each in every if not reason or each.reason == reason or each.reason.startswith(f"{reason}:")]
    return RejectsView(
        dataset=version.digest, total=len(chosen), reasons=count_reasons(chosen), rejects=tuple(chosen[:limit])
    )


def export(project: Project, dataset: str, folder: Path, progress: Progress = SILENT) -> Exported:
    """Write a dataset as Parquet that other tools read, one file a split. `Conflict` if files are there already."""
    version = resolve(project, dataset)
    files = export_rows(project.blobs, version.digest, folder, progress)
    return Exported(dataset=version.digest, folder=str(folder), files=tuple(path.name for path in files))


def diff(project: Project, before: str, after: str) -> DatasetDiff:
    """What changed from one version to another."""
    return compare_rows(project.blobs, resolve(project, before).digest, resolve(project, after).digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A version beside the one before it. `written` are the bytes that it alone brought into the store."""

    version: DatasetVersion
    added: int
    removed: int
    changed: int
    written: int


def log(project: Project, name: str) -> list[Change]:
    """The versions of a dataset, newest first, each with what changed since the one before. `NotFound`."""
    asked = resolve(project, name)
    versions = [version for version in listing(project) if version.name == asked.name]
    changes: list[Change] = []
    held: set[str] = set()
    for version in versions:
        layers = read_manifest(project.blobs, version.digest).layers
        written = sum(layer.size for layer in layers if layer.digest not in held)
        held |= {layer.digest for layer in layers}
        found = compare_rows(project.blobs, version.parent, version.digest, sample=0) if changes else None
        changes.append(
            Change(
                version=version,
                added=found.added if found else version.rows,
                removed=found.removed if found else 0,
                changed=found.changed if found else 0,
                written=written,
            )
        )
    return changes[::-1]


def card(project: Project, dataset: str) -> dict[str, Any]:
    """The Croissant card of a version; its files are the segments in the store."""
    version = resolve(project, dataset)
    manifest = read_dataset(project.blobs, version.digest)
    published = version.made.date().isoformat() if version.made else ""
    return make_card(manifest, version.digest, segment_files(manifest), published=published)


def _origin(made: Sequence[Run]) -> dict[str, Any]:
    return {"run": made[0].id, "stage": made[0].stage, "made": made[0].ended} if made else {}
