"""Stores divided rows as a dataset version: rows that the parent has in place are not written again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kedge.core.artifact import Artifact, ArtifactKind, Blob
from kedge.core.dataset import DatasetManifest, Segment
from kedge.core.hashing import canonical
from kedge.core.manifest import decode, read_manifest, write_artifact
from kedge.core.ports import BlobStore, Progress
from kedge.data import keyed
from kedge.data.digests import binary_column, from_hex
from kedge.data.divide import Divided, tell
from kedge.data.locate import SUFFIX, encode_ids
from kedge.data.packs import PackedRows
from kedge.data.privacy.index import SUBJECTS, encode_subjects, fill_vault
from kedge.data.privacy.stage import PRIVACY
from kedge.data.profile import Profile
from kedge.data.read import REJECTS, read_dataset
from kedge.data.segments import BODY, MEDIA_TYPE, ROWS, WRITERS, RejectWriter, SegmentWriter
from kedge.data.split import SPLITS
from kedge.data.types import BuildRequest, BuildResult

WORN = 0.5  # share of deleted rows from which a segment of the parent is written anew
MEDIA = "media/"

_TEXTS = ["id", "input", "target", "source", "tags"]
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Records:
    """What is compared of rows: id, body and cluster, a row a place; and the split."""

    ids: NDArray[np.uint64]
    bodies: NDArray[np.uint64]
    clusters: NDArray[np.uint64]
    splits: NDArray[np.uint8]

    @property
    def digest(self) -> str:
        """One digest over all rows, in whatever order they stand."""
        order = np.lexsort((self.ids[:, 1], self.ids[:, 0]))
        hasher = hashlib.sha256()
        for begin in range(0, len(order), 1 << 16):
            part = order[begin : begin + (1 << 16)]
            numbers = np.concatenate((self.ids[part], self.bodies[part], self.clusters[part]), axis=1).astype(">u8")
            told = np.concatenate((numbers.view(np.uint8), self.splits[part][:, None]), axis=1)
            hasher.update(told.tobytes())
        return f"sha256:{hasher.hexdigest()}"


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
    folder: Path,
    blobs: BlobStore,
    progress: Progress,
) -> BuildResult:
    """Write what is new. If the parent says all of it already, the result is the parent."""
    folder.mkdir(parents=True, exist_ok=True)
    progress.start(len(divided.kept), "writing rows")
    records = _records(rows, divided)
    rejects, reasons, quarantined = _write_rejects(request, rows, divided, folder)
    rows_digest = records.digest
    if request.parent:
        before = read_dataset(blobs, request.parent)
        told = canonical([before.name, before.rows_digest, before.recipe, before.rejects])
        if told == canonical([request.name, rows_digest, recipe, reasons]):
            return BuildResult(artifact=_artifact(blobs, request.parent), manifest=before)
    stored = (
        _kept(blobs, request.parent, records) if request.parent else _Stored([], {}, np.zeros(len(divided.kept), bool))
    )
    _write_fresh(request, rows, divided, stored, folder=folder, blobs=blobs)
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
    bodies = np.empty((len(rows), 2), dtype=np.uint64)
    at = 0
    for batch in rows.scan([keyed.BODY]):
        bodies[at : at + batch.num_rows] = binary_column(batch.column(keyed.BODY))
        at += batch.num_rows
    pairs = divided.ids.pairs
    return Records(pairs[divided.kept], bodies[divided.kept], pairs[divided.heads], divided.splits)


def _write_rejects(
    request: BuildRequest, rows: PackedRows, divided: Divided, folder: Path
) -> tuple[Path, dict[str, int], int]:
    path = folder / REJECTS
    writer = RejectWriter(path)
    writer.add(rows.rejects())
    writer.add(tell(rows, divided, request.split))
    return path, writer.close(), writer.quarantined


def _kept(blobs: BlobStore, parent: str, records: Records) -> _Stored:
    """The parent's segments, without the rows that are gone or changed; one that has lost too many is left out."""
    order = np.lexsort((records.ids[:, 1], records.ids[:, 0]))
    sorted_ids = records.ids[order, 0]
    there = np.zeros(len(order), dtype=bool)
    manifest = read_manifest(blobs, parent)
    segments, ids = [], {}
    for segment in read_dataset(blobs, parent).segments:
        own = read_records(blobs, segment)
        at = order[np.minimum(np.searchsorted(sorted_ids, own.ids[:, 0]), len(order) - 1)] if len(order) else None
        if at is None:
            continue
        same = (
            (records.ids[at] == own.ids).all(axis=1)
            & (records.bodies[at] == own.bodies).all(axis=1)
            & (records.clusters[at] == own.clusters).all(axis=1)
            & (records.splits[at] == own.splits)
        )
        same[list(segment.deleted)] = False
        layer = manifest.layer(segment.title + SUFFIX)
        if same.sum() >= segment.rows * WORN and layer is not None:
            there[at[same]] = True
            segments.append(replace(segment, deleted=tuple(np.flatnonzero(~same).tolist())))
            ids[segment.title] = layer
    return _Stored(segments, ids, there)


def read_records(blobs: BlobStore, segment: Segment) -> Records:
    """What is compared of a segment's rows, deleted ones too."""
    with pq.ParquetFile(blobs.fetch(segment.digest)) as parquet:
        table = parquet.read(columns=["id", "cluster", BODY], use_threads=False).combine_chunks()
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    splits = np.full(len(table), SPLITS.index(segment.split), dtype=np.uint8)
    return Records(from_hex(columns["id"]), binary_column(columns[BODY]), from_hex(columns["cluster"]), splits)


def _write_fresh(
    request: BuildRequest, rows: PackedRows, divided: Divided, stored: _Stored, *, folder: Path, blobs: BlobStore
) -> None:
    """New segments for the rows that are not in place, behind the others."""
    prefix = request.parent.removeprefix("sha256:")[:12] + "-" if request.parent else ""
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="segments") as pool:
        writers = [SegmentWriter(blobs, split, folder, pool, prefix) for split in SPLITS]
        for places, batch in _fresh(rows, divided, np.flatnonzero(~stored.there)):
            splits = divided.splits[places]
            for at, writer in enumerate(writers):
                chosen = splits == at
                if chosen.any():
                    writer.add(batch if chosen.all() else batch.filter(pa.array(chosen)))
        for writer in writers:
            for written in writer.close():
                data = encode_ids(written.ids.to_pylist())
                stored.segments.append(written.segment)
                stored.ids[written.segment.title] = Blob(digest=blobs.put(data), size=len(data), media_type="")


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
            yield begin, batch if len(chosen) == batch.num_rows else batch.take(pa.array(chosen))
        first, begin = first + batch.num_rows, end


def _as_stored(batch: pa.RecordBatch, clusters: Sequence[str], extra: Sequence[str]) -> pa.RecordBatch:
    columns = [batch.column(name) for name in _TEXTS]
    columns += [pa.array(clusters, pa.string()), batch.column(keyed.BODY)]
    schema = ROWS
    for name in extra:
        columns.append(batch.column(name))
        schema = schema.append(batch.schema.field(name))
    return pa.record_batch(columns, schema=schema)


def _profile(rows: PackedRows, divided: Divided) -> Mapping[str, Any]:
    profile = Profile()
    for _, batch in _picked(rows, divided.kept, [keyed.INPUT_CHARS, keyed.TARGET_CHARS, "tags"]):
        inputs, targets = (batch.column(name).to_numpy() for name in (keyed.INPUT_CHARS, keyed.TARGET_CHARS))
        profile.add(inputs, targets, batch.column("tags").to_pylist())
    return profile.result(divided.splits, divided.heads)


def _artifact(blobs: BlobStore, digest: str) -> Artifact:
    """A stored dataset as it was when it was written."""
    data = blobs.get(digest)
    manifest = decode(data)
    size = len(data) + manifest.config.size + sum(layer.size for layer in manifest.layers)
    return Artifact(digest=digest, kind=manifest.kind, size=size)
