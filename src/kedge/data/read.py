"""Reads datasets: the manifest, all rows of a split, single rows, and what was rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec
import pyarrow.parquet as pq

from kedge.core.artifact import ArtifactKind
from kedge.core.dataset import DatasetManifest, Reject, Row, Segment, Split
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.manifest import read_config, read_manifest
from kedge.core.ports import BlobStore
from kedge.data.segments import Placed, decode_rejects, read_tags

REJECTS = "rejects.parquet"


def read_dataset(blobs: BlobStore, dataset: str) -> DatasetManifest:
    """The manifest of a dataset artifact by digest. `NotFound`; `Invalid` if it is something else."""
    kind = read_manifest(blobs, dataset).kind
    if kind is not ArtifactKind.DATASET:
        raise Invalid(
            f"this artifact is a {kind}, not a dataset", address=dataset, hint="kedge data list shows datasets"
        )
    try:
        return msgspec.convert(read_config(blobs, dataset), DatasetManifest)
    except msgspec.ValidationError as error:
        raise Broken(f"the dataset's manifest cannot be read: {error}", address=dataset) from error


def read_rows(blobs: BlobStore, dataset: str, split: Split | None = None) -> Iterator[Row]:
    """Every row that counts, of one split or of all, in the order they were written."""
    for segment in read_dataset(blobs, dataset).segments:
        if split is None or segment.split is split:
            for _, placed in read_segment(blobs, segment):
                yield placed.row


def read_placed(blobs: BlobStore, manifest: DatasetManifest) -> Iterator[tuple[int, Placed]]:
    """Every row that counts, with its ordinal: its place among all rows of all segments, deleted ones too."""
    for segment, first in zip(manifest.segments, firsts(manifest.segments), strict=True):
        for at, placed in read_segment(blobs, segment):
            yield first + at, placed


def read_segment(blobs: BlobStore, segment: Segment) -> Iterator[tuple[int, Placed]]:
    """The rows of one segment that count, with their places in it."""
    deleted = frozenset(segment.deleted)
    at = 0
    with pq.ParquetFile(blobs.fetch(segment.digest)) as parquet:
        for group in range(parquet.num_row_groups):
            columns = parquet.read_row_group(group, columns=list(_COLUMNS), use_threads=False).to_pydict()
            for values in zip(*(columns[name] for name in _COLUMNS), strict=True):
                if at not in deleted:
                    yield at, _placed(values, segment.split)
                at += 1


def read_at(blobs: BlobStore, segments: Sequence[Segment], ordinals: Sequence[int]) -> list[Placed]:
    """The rows at these ordinals, in this order; only the row groups they are in are unpacked."""
    starts = firsts(segments)
    found: dict[int, Placed] = {}
    for segment, first in zip(segments, starts, strict=True):
        wanted = sorted({n - first for n in ordinals if first <= n < first + segment.rows})
        if wanted:
            found.update((first + at, placed) for at, placed in _pick(blobs, segment, wanted))
    missing = [n for n in ordinals if n not in found]
    if missing:
        raise NotFound(f"the dataset has no row number {missing[0]}")
    return [found[n] for n in ordinals]


def read_rejects(blobs: BlobStore, dataset: str) -> list[Reject]:
    """What was quarantined or dropped on the way to this dataset, in the order of the steps."""
    return list(scan_rejects(blobs, dataset))


def scan_rejects(blobs: BlobStore, dataset: str) -> Iterator[Reject]:
    """`read_rejects` without holding them all."""
    layer = read_manifest(blobs, dataset).layer(REJECTS)
    if layer is None:
        raise NotFound("the dataset keeps no rejects", address=dataset)
    yield from decode_rejects(blobs.fetch(layer.digest))


def firsts(segments: Sequence[Segment]) -> list[int]:
    """The ordinal of the first row of each segment."""
    return [0, *accumulate(segment.rows for segment in segments)][: len(segments)]


_COLUMNS = ("id", "input", "target", "source", "tags", "cluster")


def _pick(blobs: BlobStore, segment: Segment, wanted: Sequence[int]) -> Iterator[tuple[int, Placed]]:
    """Rows of one segment by place, ascending."""
    with pq.ParquetFile(blobs.fetch(segment.digest), memory_map=True) as parquet:
        metadata = parquet.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        begins = [0, *accumulate(sizes)]
        for group, size in enumerate(sizes):
            inside = [at for at in wanted if begins[group] <= at < begins[group] + size]
            if inside:
                table = parquet.read_row_group(group, columns=list(_COLUMNS), use_threads=False)
                for at in inside:
                    # slices: `take` would load pyarrow.compute, which costs more than the rest of a look-up
                    values = table.slice(at - begins[group], 1).to_pylist()[0]
                    yield at, _placed(tuple(values[name] for name in _COLUMNS), segment.split)


def _placed(values: tuple[str, ...], split: Split) -> Placed:
    name, given, wanted, source, tags, cluster = values
    row = Row(id=name, input=given, target=wanted, source=source, tags=read_tags(tags))
    return Placed(row, cluster, split)
