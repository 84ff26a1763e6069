"""Writes rows and rejects as Parquet segments: the same rows give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.dataset import Reject, Row, Segment, Split
from kedge.core.hashing import canonical
from kedge.core.ports import BlobStore

SEGMENT_BYTES = 8 << 20  # small enough that an erasure or a look-up far away moves little
GROUP_ROWS = 2048  # a single row is read by unpacking its group
GROUP_CHARS = 1 << 20
FOOTER = 2048  # bytes at the end of a file that one row group may take
MEDIA_TYPE = "application/vnd.apache.parquet"

ROWS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("tags", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
    ]
)
REJECTS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("source", "reason", "detail", "row")])


@dataclass(frozen=True, slots=True)
class Placed:
    """A row of a dataset: its cluster and its split."""

    row: Row
    cluster: str
    split: Split


def write_segments(
    blobs: BlobStore, rows: Iterable[Placed], split: Split, folder: Path, *, prefix: str = ""
) -> list[Segment]:
    """Store the rows, all of one split, in segments of at most 8 MB named `<split>-<prefix>00000.parquet`."""
    segments: list[Segment] = []
    for path, count in _files(rows, folder):
        segments.append(
            Segment(
                split=split,
                title=f"{split}-{prefix}{len(segments):05d}.parquet",
                digest=blobs.put_file(path),
                rows=count,
                bytes=path.stat().st_size,
            )
        )
        path.unlink()
    return segments


def _files(rows: Iterable[Placed], folder: Path) -> Iterator[tuple[Path, int]]:
    """Each segment as a file, with its count of rows. It is closed before it could grow past the limit."""
    groups = _groups(rows)
    group = next(groups, None)
    while group is not None:
        path, count, groups_written = folder / "segment.parquet", 0, 0
        with (
            path.open("wb") as file,
            pq.ParquetWriter(file, ROWS, compression="zstd", use_dictionary=["source"]) as out,
        ):
            while group is not None:
                table = _table(group)
                if count and file.tell() + table.nbytes + FOOTER * (groups_written + 1) > SEGMENT_BYTES:
                    break
                groups_written += 1
                out.write_table(table, row_group_size=len(group))
                count += len(group)
                group = next(groups, None)
        yield path, count


def _groups(rows: Iterable[Placed]) -> Iterator[list[Placed]]:
    """Rows in row groups of moderate size."""
    group: list[Placed] = []
    chars = 0
    for row in rows:
        group.append(row)
        chars += len(row.row.input) + len(row.row.target)
        if len(group) >= GROUP_ROWS or chars >= GROUP_CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group


def _table(group: Sequence[Placed]) -> pa.Table:
    columns = {
        "id": [placed.row.id for placed in group],
        "input": [placed.row.input for placed in group],
        "target": [placed.row.target for placed in group],
        "source": [placed.row.source for placed in group],
        "tags": [write_tags(placed.row.tags) for placed in group],
        "cluster": [placed.cluster for placed in group],
    }
    return pa.table(columns, schema=ROWS)


def write_tags(tags: Mapping[str, object]) -> str:
    """Tags as the column holds them: canonical JSON, so that a tag may be of any type in any row."""
    return canonical(dict(tags)).decode()


def read_tags(text: str) -> Mapping[str, object]:
    """Tags as they were written."""
    tags: dict[str, object] = json.loads(text)
    return tags


def encode_rejects(rejects: Sequence[Reject]) -> bytes:
    """Rejects as Parquet."""
    columns = {name: [getattr(reject, name) for reject in rejects] for name in REJECTS.names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=REJECTS), sink, compression="zstd", row_group_size=1 << 16)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode_rejects(data: bytes) -> list[Reject]:
    """Rejects as they were written."""
    return [Reject(**values) for values in pq.read_table(pa.BufferReader(data)).to_pylist()]
