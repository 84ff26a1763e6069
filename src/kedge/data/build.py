"""Builds a dataset version: raw files in, Parquet segments under a manifest out. Same input, same digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from kedge.core.artifact import Artifact, ArtifactKind, Blob
from kedge.core.dataset import DatasetManifest, Segment, Split
from kedge.core.hashing import canonical
from kedge.core.manifest import decode, write_artifact
from kedge.core.ports import BlobStore, Progress
from kedge.core.spec import to_plain
from kedge.data.duplicates import cluster_near, drop_exact
from kedge.data.ingest import ingest
from kedge.data.locate import encode_ids
from kedge.data.normalise import normalise
from kedge.data.profile import count_reasons, profile
from kedge.data.read import REJECTS, firsts, read_dataset, read_segment
from kedge.data.segments import MEDIA_TYPE, Placed, encode_rejects, write_segments, write_tags
from kedge.data.split import Divided, assign, groups_by_tag, separate
from kedge.data.types import BuildRequest, BuildResult, Cleaned

WORN = 0.5  # share of deleted rows from which a segment of the parent is written anew


def build(request: BuildRequest, *, root: Path, folder: Path, blobs: BlobStore, progress: Progress) -> BuildResult:
    """Read, clean, divide and store. `root` is where relative paths begin, `folder` is for temporary files.

    All rows are held in memory, about 1.5 kB each. A dataset may come out empty.
    """
    divided = divide(ingest(request.sources, root, progress), request, progress)
    progress.start(None, "writing segments")
    return write_dataset(request, divided, folder=folder, blobs=blobs)


def divide(cleaned: Cleaned, request: BuildRequest, progress: Progress) -> Divided:
    """Normalise, drop duplicates and split, keeping what was dropped and why."""
    progress.start(4, "cleaning")
    cleaned = normalise(cleaned, request.normalise)
    progress.advance()
    options = request.split
    splits = [Split.TRAIN] * len(cleaned.rows)
    if options.group:
        splits = assign(groups_by_tag(cleaned.rows, options.group), options)
    if request.duplicates.exact:
        fallen = dict(zip((row.id for row in cleaned.rows), splits, strict=True))
        cleaned = drop_exact(cleaned, splits)
        splits = [fallen[row.id] for row in cleaned.rows]
    progress.advance()
    fallen = dict(zip((row.id for row in cleaned.rows), splits, strict=True))
    cleaned = cluster_near(cleaned, request.duplicates)
    progress.advance()
    splits = [fallen[row.id] for row in cleaned.rows] if options.group else assign(cleaned.clusters, options)
    divided = separate(cleaned, splits, options)
    progress.advance()
    progress.note(rows=len(divided.cleaned.rows), dropped=len(divided.cleaned.rejects))
    return divided


def write_dataset(request: BuildRequest, divided: Divided, *, folder: Path, blobs: BlobStore) -> BuildResult:
    """Store divided rows as a dataset version; rows that the parent has in place are not written again.

    If the parent says all of it already, the result is the parent.
    """
    cleaned = divided.cleaned
    placed = [
        Placed(row, cluster, split)
        for row, cluster, split in zip(cleaned.rows, cleaned.clusters, divided.splits, strict=True)
    ]
    digests = {each.row.id: row_digest(each) for each in placed}
    rows_digest, rejects = combine(digests.values()), count_reasons(cleaned.rejects)
    if request.parent:
        before = read_dataset(blobs, request.parent)
        told = canonical([before.name, before.rows_digest, before.recipe, before.rejects])
        if told == canonical([request.name, rows_digest, recipe(request), rejects]):
            return BuildResult(artifact=_artifact(blobs, request.parent), manifest=before)
    stored = _store(request, placed, digests, folder=folder, blobs=blobs)
    segments = tuple(each.segment for each in stored)
    manifest = DatasetManifest(
        name=request.name,
        rows=len(placed),
        rows_digest=rows_digest,
        segments=segments,
        recipe=recipe(request),
        parent=request.parent,
        profile=profile(cleaned.rows, divided.splits, cleaned.clusters),
        rejects=rejects,
    )
    files: dict[str, Path | bytes | Blob] = {
        segment.title: Blob(digest=segment.digest, size=segment.bytes, media_type=MEDIA_TYPE) for segment in segments
    }
    files[REJECTS] = encode_rejects(cleaned.rejects)
    files |= encode_ids(*_places(stored))
    artifact = write_artifact(blobs, ArtifactKind.DATASET, msgspec.to_builtins(manifest), files)
    return BuildResult(artifact=artifact, manifest=manifest)


def recipe(request: BuildRequest) -> Mapping[str, Any]:
    """How the dataset is made, without where its files lie on this machine."""
    sources = []
    for bound in request.sources:
        options = to_plain(bound.options)
        options.pop("path", None)
        sources.append({"name": bound.source.name, "args": options})
    steps = {name: to_plain(getattr(request, name)) for name in ("normalise", "duplicates", "split")}
    return {"sources": sources, **steps}


def row_digest(placed: Placed) -> bytes:
    """The digest of all that the dataset says of one row."""
    row = placed.row
    content = [row.id, placed.split, row.input, row.target, row.source, write_tags(row.tags), placed.cluster]
    return hashlib.sha256(canonical(content)).digest()


def combine(digests: Iterable[bytes]) -> str:
    """One digest over the digests of rows, in whatever order they come."""
    return "sha256:" + hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _artifact(blobs: BlobStore, digest: str) -> Artifact:
    """A stored dataset as it was when it was written."""
    data = blobs.get(digest)
    manifest = decode(data)
    size = len(data) + manifest.config.size + sum(layer.size for layer in manifest.layers)
    return Artifact(digest=digest, kind=manifest.kind, size=size)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A segment, and the ids of the rows of it that count, by place."""

    segment: Segment
    ids: Mapping[int, str]


def _store(
    request: BuildRequest, placed: Sequence[Placed], digests: Mapping[str, bytes], *, folder: Path, blobs: BlobStore
) -> list[_Stored]:
    """The parent's segments as far as they are wanted, then new ones for the other rows."""
    stored = _kept(blobs, request.parent, digests) if request.parent else []
    there = {row for each in stored for row in each.ids.values()}
    prefix = request.parent.removeprefix("sha256:")[:12] + "-" if request.parent else ""
    folder.mkdir(parents=True, exist_ok=True)
    for split in Split:
        fresh = [each for each in placed if each.split is split and each.row.id not in there]
        ids = iter([each.row.id for each in fresh])
        for segment in write_segments(blobs, fresh, split, folder, prefix=prefix):
            stored.append(_Stored(segment, dict(enumerate(islice(ids, segment.rows)))))
    return stored


def _kept(blobs: BlobStore, parent: str, digests: Mapping[str, bytes]) -> list[_Stored]:
    """The parent's segments, without the rows that are gone or changed; one that has lost too many is left out."""
    kept = []
    for segment in read_dataset(blobs, parent).segments:
        ids = {
            at: placed.row.id
            for at, placed in read_segment(blobs, segment)
            if digests.get(placed.row.id) == row_digest(placed)
        }
        if len(ids) >= segment.rows * WORN:
            deleted = tuple(at for at in range(segment.rows) if at not in ids)
            kept.append(_Stored(replace(segment, deleted=deleted), ids))
    return kept


def _places(stored: Sequence[_Stored]) -> tuple[list[str], list[int]]:
    """Every row's id and ordinal."""
    begins = firsts([each.segment for each in stored])
    places = [(row, begin + at) for each, begin in zip(stored, begins, strict=True) for at, row in each.ids.items()]
    return [row for row, _ in places], [ordinal for _, ordinal in places]
