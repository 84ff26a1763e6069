"""Copies a dataset to a folder that pandas, polars and DuckDB read: Parquet with a column for each tag."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.dataset import Split
from kedge.core.errors import Conflict
from kedge.core.ports import BlobStore, Progress
from kedge.data.read import read_dataset, read_segment
from kedge.data.segments import Placed

COLUMNS = ("id", "input", "target", "source", "cluster")
BATCH = 16_384

_KINDS: dict[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def export(blobs: BlobStore, dataset: str, folder: Path, progress: Progress) -> list[Path]:
    """Write one file a split and `manifest.json`. `Conflict` if one of them is there already.

    A tag is a column of its own type when all its values have one, and of JSON text otherwise.
    """
    manifest = read_dataset(blobs, dataset)
    present = [split for split in Split if any(segment.split is split for segment in manifest.segments)]
    targets = {split: folder / f"{split}.parquet" for split in present}
    about = folder / "manifest.json"
    for path in (*targets.values(), about):
        if path.exists():
            raise Conflict(f"{path} is there already", address=str(path), hint="choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    kinds = tag_kinds(placed for segment in manifest.segments for _, placed in read_segment(blobs, segment))
    progress.start(manifest.rows, "exporting rows")
    for split, path in targets.items():
        segments = (segment for segment in manifest.segments if segment.split is split)
        _write(path, (placed for segment in segments for _, placed in read_segment(blobs, segment)), kinds, progress)
    about.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return [*targets.values(), about]


def tag_kinds(rows: Iterator[Placed]) -> dict[str, pa.DataType]:
    """The column type of each tag."""
    kinds: dict[str, set[type]] = {}
    for placed in rows:
        for name, value in placed.row.tags.items():
            if value is not None:
                kinds.setdefault(name, set()).add(type(value))
    return {name: _column(kinds[name]) for name in sorted(kinds)}


def _column(kinds: set[type]) -> pa.DataType | None:
    """The type all values share, or None for text in JSON."""
    if kinds == {int, float}:
        return pa.float64()
    return _KINDS.get(next(iter(kinds))) if len(kinds) == 1 else None


def _write(path: Path, rows: Iterator[Placed], kinds: dict[str, pa.DataType], progress: Progress) -> None:
    fields = [pa.field(name, pa.string()) for name in COLUMNS]
    names = {tag: tag if tag not in COLUMNS else f"tag_{tag}" for tag in kinds}
    fields += [pa.field(names[tag], kind or pa.string()) for tag, kind in kinds.items()]
    schema = pa.schema(fields)
    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        for batch in _batches(rows):
            columns: dict[str, list[Any]] = {
                name: [each.cluster if name == "cluster" else getattr(each.row, name) for each in batch]
                for name in COLUMNS
            }
            for tag, kind in kinds.items():
                columns[names[tag]] = [_cell(each.row.tags.get(tag), kind) for each in batch]
            out.write_table(pa.table(columns, schema=schema))
            progress.advance(len(batch))


def _cell(value: Any, kind: pa.DataType | None) -> Any:
    return value if kind is not None or value is None else json.dumps(value, ensure_ascii=False)


def _batches(rows: Iterator[Placed]) -> Iterator[Sequence[Placed]]:
    batch: list[Placed] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
