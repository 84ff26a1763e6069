"""What is compared of the rows of a version and of the one before: numbers, kept in a file for each segment in place."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kedge.core.dataset import DatasetManifest, Segment
from kedge.core.errors import Broken
from kedge.core.ports import BlobStore
from kedge.core.spec import to_plain
from kedge.data.digests import Places, binary_column, by_id, equal, from_hex, pick, sort
from kedge.data.locate import open_array
from kedge.data.read import read_dataset
from kedge.data.segments import BODY
from kedge.data.split import SPLITS
from kedge.data.types import SplitOptions

SUFFIX = ".npy"
_TOLD = np.dtype([("ids", "V16"), ("bodies", "V16"), ("clusters", "V16"), ("splits", "u1")])  # of one row


@dataclass(frozen=True, slots=True)
class Records:
    """What is compared of rows: id, body and cluster, a row a place; and the split. `order` is that of the ids' first
    numbers."""

    order: NDArray[np.int64]
    ids: NDArray[np.uint64]
    bodies: NDArray[np.uint64]
    clusters: NDArray[np.uint64]
    splits: NDArray[np.uint8]

    @property
    def digest(self) -> str:
        """One digest over all rows, in whatever order they stand."""
        order = by_id(self.ids, self.order)
        hasher = hashlib.sha256()
        for begin in range(0, len(order), 1 << 14):
            part = order[begin : begin + (1 << 14)]
            told = np.empty(len(part), dtype=_TOLD)
            for name in ("ids", "bodies", "clusters"):
                told[name] = pick(getattr(self, name), part).astype(">u8").view("V16")[:, 0]
            told["splits"] = self.splits[part]
            hasher.update(told.data)
        return f"sha256:{hasher.hexdigest()}"

    def same(self, places: NDArray[np.int64], other: Records) -> NDArray[np.bool_]:
        """Which rows of `other` are in all of it those that stand at these places here."""
        same: NDArray[np.bool_] = (
            equal(pick(self.ids, places), other.ids)
            & equal(pick(self.bodies, places), other.bodies)
            & equal(pick(self.clusters, places), other.clusters)
            & (self.splits[places] == other.splits)
        )
        return same


@dataclass(frozen=True, slots=True)
class Matched:
    """A segment of the version before: for each of its rows the number of that with the same id now, or -1."""

    segment: Segment
    records: Records
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Before:
    """The version that a build goes on from, with the records of each of its segments: of deleted rows too."""

    digest: str
    manifest: DatasetManifest
    records: Sequence[Records]

    def match(self, ids: NDArray[np.uint64], kept: NDArray[np.int64], places: Places) -> Iterator[Matched]:
        """Segment by segment, those of the rows `kept` that were there. `ids` are of all rows, `places` of those kept."""
        for segment, own in zip(self.manifest.segments, self.records, strict=True) if len(kept) else ():
            rows = kept[places.find(own.ids, own.order)]
            yield Matched(segment, own, np.where(equal(pick(ids, rows), own.ids), rows, -1))

    def is_drawn(self, options: SplitOptions) -> bool:
        """Whether the splits of its clusters were drawn with these options, which settle them."""
        return bool(self.manifest.recipe.get("split") == to_plain(options))


def read_before(blobs: BlobStore, parent: str, folder: Path) -> Before:
    """A version by digest. `folder` keeps its records, so that no segment is unpacked for them; losing it costs time."""
    manifest = read_dataset(blobs, parent)
    return Before(parent, manifest, [_recall(blobs, segment, folder) for segment in manifest.segments])


def read_records(blobs: BlobStore, segment: Segment) -> Records:
    """What is compared of a segment's rows, deleted ones too."""
    with pq.ParquetFile(blobs.fetch(segment.digest)) as parquet:
        return _records(segment, parquet.read(columns=["id", "cluster", BODY], use_threads=False))


def keep_records(segment: Segment, rows: Any, folder: Path) -> None:
    """Keep the records of a segment that was written: a table of its rows."""
    _keep(segment, _records(segment, rows), folder)


def forget_records(segments: Iterable[Segment], folder: Path) -> None:
    """Remove the records of all segments but these."""
    stay = {_path(segment, folder).name for segment in segments}
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.name not in stay:
            path.unlink(missing_ok=True)


def _records(segment: Segment, rows: Any) -> Records:
    columns = {name: rows.column(name).combine_chunks() for name in ("id", "cluster", BODY)}
    ids, clusters = from_hex(columns["id"]), from_hex(columns["cluster"])
    return Records(sort(ids).order, ids, binary_column(columns[BODY]), clusters, _splits(segment, len(ids)))


def _recall(blobs: BlobStore, segment: Segment, folder: Path) -> Records:
    try:
        numbers = open_array(_path(segment, folder))
    except (OSError, Broken):
        numbers = None
    rows = segment.rows
    if numbers is None or numbers.dtype != np.uint64 or numbers.shape != (7 * rows,):
        records = read_records(blobs, segment)
        _keep(segment, records, folder)
        return records
    order = np.minimum(numbers[:rows], rows - 1).astype(np.int64)  # damaged, it finds no row
    ids, bodies, clusters = numbers[rows:].reshape(3, rows, 2)
    return Records(order, ids, bodies, clusters, _splits(segment, rows))


def _keep(segment: Segment, records: Records, folder: Path) -> None:
    """Damaged, they match no row, and rows are written anew; so nothing waits for the disk here."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(segment, folder)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with temporary.open("wb") as file:
        columns = (records.order, records.ids, records.bodies, records.clusters)
        np.save(file, np.concatenate([column.astype(np.uint64).ravel() for column in columns]), allow_pickle=False)
    temporary.replace(path)


def _splits(segment: Segment, rows: int) -> NDArray[np.uint8]:
    return np.full(rows, SPLITS.index(segment.split), dtype=np.uint8)


def _path(segment: Segment, folder: Path) -> Path:
    return folder / f"{segment.split}-{segment.digest.removeprefix('sha256:')}{SUFFIX}"
