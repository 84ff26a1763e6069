"""Writes rows and rejects as Parquet segments: the same rows give the same bytes, however they come in batches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.artifact import Blob
from kedge.core.dataset import Reject, Row, Segment, Split
from kedge.core.hashing import canonical
from kedge.core.ports import BlobStore
from kedge.data.arrays import strings
from kedge.data.rows import QUICK, has_floats

SEGMENT_BYTES = 24 << 20  # of rows before they are packed: a file of some 8 MB, so that an erasure rewrites little
GROUP_ROWS = 2048  # a single row is read by unpacking its group
GROUP_BYTES = 1 << 20
WRITERS = 2  # segments that are packed at once
MEDIA_TYPE = "application/vnd.apache.parquet"
BODY = "body"  # the digest of all that is kept of the row, by which versions are compared

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("tags", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field(BODY, pa.binary(16), nullable=False),
    ]
)
REJECTS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("source", "reason", "detail", "row")])
_REJECTS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of a dataset: its cluster and its split."""

    row: Row
    cluster: str
    split: Split


Finish = Callable[[Segment, pa.Table], Blob]
"""Takes a segment that was stored and its rows, and gives the blob that stands beside it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A segment that was stored, and the blob beside it."""

    segment: Segment
    beside: Blob


class SegmentWriter:
    """Stores the rows of one split in segments named `<split>-<prefix>00000.parquet`, in the order they are added."""

    def __init__(
        self,
        blobs: BlobStore,
        split: Split,
        folder: Path,
        pool: ThreadPoolExecutor,
        finish: Finish,
        prefix: str = "",
    ) -> None:
        self._blobs, self._split, self._folder, self._pool, self._prefix = blobs, split, folder, pool, prefix
        self._finish = finish
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._groups: list[pa.Table] = []
        self._bytes = 0
        self._futures: list[Future[Written]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows with the columns of `ROWS` first."""
        sizes = np.cumsum(_sizes(batch))
        begin = 0
        while begin < batch.num_rows:
            before = int(sizes[begin - 1]) if begin else 0
            full = int(np.searchsorted(sizes, GROUP_BYTES - self._held_bytes + before)) + 1
            end = min(batch.num_rows, full, begin + GROUP_ROWS - self._held_rows)
            self._held.append(batch.slice(begin, end - begin))
            self._held_rows += end - begin
            self._held_bytes += int(sizes[end - 1]) - before
            if self._held_rows >= GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
                self._close_group()
            begin = end

    def close(self) -> list[Written]:
        """Store the rest; every segment, in order."""
        self._close_group()
        self._close_segment()
        return [future.result() for future in self._futures]

    def _close_group(self) -> None:
        if not self._held:
            return
        table = pa.Table.from_batches(self._held).combine_chunks()
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        if self._groups and self._bytes + table.nbytes > SEGMENT_BYTES:
            self._close_segment()
        self._groups.append(table)
        self._bytes += table.nbytes

    def _close_segment(self) -> None:
        if not self._groups:
            return
        title = f"{self._split}-{self._prefix}{len(self._futures):05d}.parquet"
        self._futures.append(self._pool.submit(self._store, title, self._groups))
        self._groups, self._bytes = [], 0
        if len(self._futures) > WRITERS:
            self._futures[-1 - WRITERS].result()  # so that no more than these are held

    def _store(self, title: str, groups: Sequence[pa.Table]) -> Written:
        path = self._folder / title
        with pq.ParquetWriter(path, groups[0].schema, compression="zstd", use_dictionary=["source"]) as out:
            for group in groups:
                out.write_table(group, row_group_size=len(group))
        rows = pa.concat_tables(groups)
        digest = self._blobs.put_file(path)
        segment = Segment(split=self._split, title=title, digest=digest, rows=len(rows), bytes=path.stat().st_size)
        path.unlink()
        return Written(segment, self._finish(segment, rows))


def _sizes(batch: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many bytes of text each row has."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for name in ("input", "target", "tags"):
        column = batch.column(name)
        offsets = np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset : column.offset + len(column) + 1]
        total += np.diff(offsets)
    return total


def write_tags(tags: Mapping[str, object]) -> str:
    """Tags as the column holds them: canonical JSON, so that a tag may be of any type in any row."""
    if not tags:
        return "{}"
    return (canonical(dict(tags)) if has_floats(tags) else QUICK.encode(tags)).decode()


def read_tags(text: str) -> Mapping[str, object]:
    """Tags as they were written."""
    tags: dict[str, object] = json.loads(text)
    return tags


class RejectWriter:
    """Writes rejects as Parquet and counts them."""

    def __init__(self, path: Path) -> None:
        self._out = pq.ParquetWriter(path, REJECTS, compression="zstd")
        self._held: list[Reject] = []
        self._reasons: Counter[str] = Counter()
        self.quarantined = 0  # of them never became a row

    def add(self, rejects: Iterable[Reject]) -> None:
        """Take some."""
        for reject in rejects:
            self._held.append(reject)
            self._reasons[reject.reason] += 1
            self.quarantined += not reject.row
            if len(self._held) == _REJECTS_AT_ONCE:
                self._flush()

    def close(self) -> dict[str, int]:
        """Finish the file; how many there are of each reason."""
        if self._held:
            self._flush()
        self._out.close()
        return dict(sorted(self._reasons.items()))

    def _flush(self) -> None:
        columns = [strings(getattr(reject, name) for reject in self._held) for name in REJECTS.names]
        self._out.write_table(pa.table(columns, schema=REJECTS))
        self._held = []


def decode_rejects(path: Path) -> Iterable[Reject]:
    """Rejects as they were written."""
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=_REJECTS_AT_ONCE, use_threads=False):
            for values in batch.to_pylist():
                yield Reject(**values)
