"""Stores divided rows as a dataset version: rows that the parent has in place are not written again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.artifact import Artifact, ArtifactKind, Blob
from kedge.core.dataset import DatasetManifest, Segment
from kedge.core.hashing import canonical
from kedge.core.manifest import decode, read_manifest, write_artifact
from kedge.core.ports import BlobStore, Progress
from kedge.data import keyed
from kedge.data.arrays import from_numpy, mask, strings
from kedge.data.digests import pick
from kedge.data.divide import Divided, tell
from kedge.data.locate import SUFFIX, encode_ids
from kedge.data.packs import PackedRows
from kedge.data.privacy.index import SUBJECTS, encode_subjects, fill_vault
from kedge.data.privacy.stage import PRIVACY
from kedge.data.profile import Profile
from kedge.data.read import REJECTS
from kedge.data.records import Before, Records, forget_records, keep_records
from kedge.data.segments import MEDIA_TYPE, ROWS, WRITERS, RejectWriter, SegmentWriter
from kedge.data.split import SPLITS
from kedge.data.tags import count_tags
from kedge.data.types import BuildRequest, BuildResult

WORN = 0.5  # share of deleted rows from which a segment of the parent is written anew
MEDIA = "media/"

_TEXTS = ["id", "input", "target", "source", "tags"]
_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a version is stored. `folder` is for temporary files; in `memory` the records of segments stay from build to
    build."""

    blobs: BlobStore
    folder: Path
    memory: Path


@dataclass(frozen=True, slots=True)
class _Stored:
    """Segments in place, the blob of each one's row ids, and which rows they hold already."""

    segments: list[Segment]
    ids: dict[str, Blob]
    there: NDArray[np.bool_]


def store(
    request: BuildRequest,
    recipe: Mapping[str, Any],
    rows: PackedRows,
    divided: Divided,
    *,
    before: Before | None,
    place: Place,
    progress: Progress,
) -> BuildResult:
    """Write what is new. If the version before says all of it already, it is the result."""
    blobs = place.blobs
    place.folder.mkdir(parents=True, exist_ok=True)
    progress.start(len(divided.kept), "writing rows")
    records = _records(rows, divided)
    rejects, reasons, quarantined = _write_rejects(request, rows, divided, place.folder)
    rows_digest = records.digest
    if before is not None:
        was = before.manifest
        told = canonical([was.name, was.rows_digest, was.recipe, was.rejects])
        if told == canonical([request.name, rows_digest, recipe, reasons]):
            return BuildResult(artifact=_artifact(blobs, before.digest), manifest=was)
    stored = _kept(blobs, before, divided, records)
    _write_fresh(request, rows, divided, stored, place)
    forget_records(stored.segments, place.memory)
    progress.advance(len(divided.kept))
    subjects, found = _subjects(request, rows, divided)
    manifest = DatasetManifest(
        name=request.name,
        rows=len(divided.kept),
        rows_digest=rows_digest,
        segments=tuple(stored.segments),
        recipe=recipe,
        parent=request.parent,
        profile={**_profile(rows, divided), "quarantined": quarantined, **found},
        rejects=reasons,
    )
    files: dict[str, Path | bytes | Blob] = {
        segment.title: Blob(digest=segment.digest, size=segment.bytes, media_type=MEDIA_TYPE)
        for segment in stored.segments
    }
    files |= {f"{title}{SUFFIX}": blob for title, blob in stored.ids.items()}
    files |= {f"{MEDIA}{name}": path for name, path in rows.media().items()}
    files |= subjects
    files[REJECTS] = rejects
    artifact = write_artifact(blobs, ArtifactKind.DATASET, describe(manifest), files)
    rejects.unlink()
    return BuildResult(artifact=artifact, manifest=manifest)


def describe(manifest: DatasetManifest) -> dict[str, Any]:
    """The manifest as the config of an artifact. Versions that restore nothing do not say so: their digests stay."""
    told: dict[str, Any] = msgspec.to_builtins(manifest)
    return told if manifest.restored else {name: value for name, value in told.items() if name != "restored"}


def _subjects(
    request: BuildRequest, rows: PackedRows, divided: Divided
) -> tuple[Mapping[str, bytes], Mapping[str, Any]]:
    """The index of what names a person, and how often each kind was found; nothing if nothing was looked for."""
    if not any(stage.name == PRIVACY for stage in request.stages) or not len(rows):
        return {}, {}
    index, found = encode_subjects(rows, divided.kept)
    if request.vault:
        fill_vault(Path(request.vault), rows, divided.kept)
    return {SUBJECTS: index}, {"private": found}


def _records(rows: PackedRows, divided: Divided) -> Records:
    ids, kept = divided.ids.pairs, divided.kept
    bodies = pick(rows.numbers(keyed.BODY), kept)
    return Records(divided.order, pick(ids, kept), bodies, pick(ids, divided.heads), divided.splits)


def _write_rejects(
    request: BuildRequest, rows: PackedRows, divided: Divided, folder: Path
) -> tuple[Path, dict[str, int], int]:
    path = folder / REJECTS
    writer = RejectWriter(path)
    writer.add(rows.rejects())
    writer.add(tell(rows, divided, request.split))
    return path, writer.close(), writer.quarantined


def _kept(blobs: BlobStore, before: Before | None, divided: Divided, records: Records) -> _Stored:
    """The segments before, without the rows that are gone or changed; one that has lost too many is left out."""
    stored = _Stored([], {}, np.zeros(len(records.ids), dtype=bool))
    if before is None or not len(divided.kept):
        return stored
    manifest = read_manifest(blobs, before.digest)
    place = np.full(len(divided.ids) + 1, -1, dtype=np.int64)  # the last for those that are not there
    place[divided.kept] = np.arange(len(divided.kept))
    for matched in divided.matched:
        segment, at = matched.segment, place[matched.rows]
        same = (at >= 0) & records.same(at, matched.records)
        same[list(segment.deleted)] = False
        layer = manifest.layer(segment.title + SUFFIX)
        if same.sum() >= segment.rows * WORN and layer is not None:
            stored.there[at[same]] = True
            stored.segments.append(replace(segment, deleted=tuple(np.flatnonzero(~same).tolist())))
            stored.ids[segment.title] = layer
    return stored


def _write_fresh(request: BuildRequest, rows: PackedRows, divided: Divided, stored: _Stored, place: Place) -> None:
    """New segments for the rows that are not in place, behind the others."""

    def finish(segment: Segment, table: pa.Table) -> Blob:
        keep_records(segment, table, place.memory)
        data = encode_ids(table.column("id").to_pylist())
        return Blob(digest=place.blobs.put(data), size=len(data), media_type="")

    prefix = request.parent.removeprefix("sha256:")[:12] + "-" if request.parent else ""
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="segments") as pool:
        writers = [SegmentWriter(place.blobs, split, place.folder, pool, finish, prefix) for split in SPLITS]
        for places, batch in _fresh(rows, divided, np.flatnonzero(~stored.there)):
            splits = divided.splits[places]
            for at, writer in enumerate(writers):
                chosen = splits == at
                if chosen.any():
                    writer.add(batch if chosen.all() else batch.filter(mask(chosen)))
        for writer in writers:
            for written in writer.close():
                stored.segments.append(written.segment)
                stored.ids[written.segment.title] = written.beside


def _fresh(
    rows: PackedRows, divided: Divided, places: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]:
    """The rows at these places among those kept, as they are stored."""
    ordinals = divided.kept[places]
    columns = [*_TEXTS, *rows.extra, keyed.BODY]
    for begin, batch in _picked(rows, ordinals, columns):
        part = places[begin : begin + batch.num_rows]
        clusters = divided.ids.hex(divided.heads[part])
        yield part, _as_stored(batch, clusters, rows.extra)


def _picked(
    rows: PackedRows, ordinals: NDArray[np.int64], columns: Sequence[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows by number, ascending: by passing over all of them if most are wanted."""
    if len(ordinals) * 4 < len(rows):
        for begin in range(0, len(ordinals), _CHUNK):
            table = rows.take(ordinals[begin : begin + _CHUNK], columns).combine_chunks()
            yield from ((begin, batch) for batch in table.to_batches())
        return
    first = begin = 0
    for batch in rows.scan(columns):
        end = int(np.searchsorted(ordinals, first + batch.num_rows))
        if end > begin:
            chosen = ordinals[begin:end] - first
            yield begin, batch if len(chosen) == batch.num_rows else batch.take(from_numpy(chosen))
        first, begin = first + batch.num_rows, end


def _as_stored(batch: pa.RecordBatch, clusters: Sequence[str], extra: Sequence[str]) -> pa.RecordBatch:
    columns = [batch.column(name) for name in _TEXTS]
    columns += [strings(clusters), batch.column(keyed.BODY)]
    schema = ROWS
    for name in extra:
        columns.append(batch.column(name))
        schema = schema.append(batch.schema.field(name))
    return pa.record_batch(columns, schema=schema)


def _profile(rows: PackedRows, divided: Divided) -> Mapping[str, Any]:
    profile = Profile()
    known, left = rows.few_tags(divided.kept)
    for tags in known:
        profile.add(tags)
    for _, batch in _picked(rows, left, ["tags"]):
        profile.add(count_tags(batch.column("tags")))
    inputs, targets = (rows.numbers(name)[divided.kept] for name in (keyed.INPUT_CHARS, keyed.TARGET_CHARS))
    return profile.result(divided.splits, divided.heads, inputs, targets)


def _artifact(blobs: BlobStore, digest: str) -> Artifact:
    """A stored dataset as it was when it was written."""
    data = blobs.get(digest)
    manifest = decode(data)
    size = len(data) + manifest.config.size + sum(layer.size for layer in manifest.layers)
    return Artifact(digest=digest, kind=manifest.kind, size=size)
