"""Copies a dataset to a folder that pandas, polars, DuckDB and `datasets` read: Parquet with a column for each tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.dataset import DatasetManifest, Segment, Split
from kedge.core.errors import Conflict
from kedge.core.ports import BlobStore, Progress
from kedge.data.card import Distribution, card, readme
from kedge.data.read import read_dataset

COLUMNS = ("id", "input", "target", "source", "cluster")
CARD = "croissant.json"
README = "README.md"

_HIDDEN = ("tags", "body")
_KINDS: dict[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
_DECODER = msgspec.json.Decoder()


def export(blobs: BlobStore, dataset: str, folder: Path, progress: Progress) -> list[Path]:
    """Write one file a split, `manifest.json`, a Croissant card and a page for the hub. `Conflict` if one of them is there already.

    A tag is a column of its own type when all its values have one, and of JSON text otherwise.
    """
    manifest = read_dataset(blobs, dataset)
    present = [split for split in Split if any(segment.split is split for segment in manifest.segments)]
    targets = {split: folder / f"{split}.parquet" for split in present}
    about, described, page = folder / "manifest.json", folder / CARD, folder / README
    for path in (*targets.values(), about, described, page):
        if path.exists():
            raise Conflict(f"{path} is there already", address=str(path), hint="choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    progress.start(2 * manifest.rows, "exporting rows")
    kinds = tag_kinds(blobs, manifest, progress)
    schemas = {}
    for split, path in targets.items():
        segments = [segment for segment in manifest.segments if segment.split is split]
        schemas[split] = _write(blobs, path, segments, kinds, progress)
    about.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    files = [_distribution(path, str(split), schemas[split]) for split, path in targets.items()]
    described.write_bytes(msgspec.json.format(msgspec.json.encode(card(manifest, dataset, files))))
    page.write_text(readme(manifest, dataset, files))
    return [*targets.values(), about, described, page]


def tag_kinds(blobs: BlobStore, manifest: DatasetManifest, progress: Progress) -> dict[str, pa.DataType | None]:
    """The column type of each tag."""
    kinds: dict[str, set[type]] = {}
    for segment in manifest.segments:
        for table in _tables(blobs, segment, ["tags"]):
            for text in table.column("tags").to_pylist():
                if text != "{}":
                    for name, value in _DECODER.decode(text).items():
                        if value is not None:
                            kinds.setdefault(name, set()).add(type(value))
            progress.advance(len(table))
    return {name: _column(kinds[name]) for name in sorted(kinds)}


def _column(kinds: set[type]) -> pa.DataType | None:
    """The type all values share, or None for text in JSON."""
    if kinds == {int, float}:
        return pa.float64()
    return _KINDS.get(next(iter(kinds))) if len(kinds) == 1 else None


def _tables(blobs: BlobStore, segment: Segment, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a segment that count, a row group at a time."""
    alive = np.ones(segment.rows, dtype=bool)
    alive[list(segment.deleted)] = False
    at = 0
    with pq.ParquetFile(blobs.fetch(segment.digest)) as parquet:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, columns=columns)
            here = alive[at : at + len(table)]
            at += len(table)
            yield table if here.all() else table.filter(pa.array(here))


def _write(
    blobs: BlobStore,
    path: Path,
    segments: Sequence[Segment],
    kinds: Mapping[str, pa.DataType | None],
    progress: Progress,
) -> pa.Schema:
    tables = (_exported(table, kinds) for segment in segments for table in _tables(blobs, segment))
    first = next(tables)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with pq.ParquetWriter(temporary, first.schema, compression="zstd") as out:
            for table in chain([first], tables):
                out.write_table(table)
                progress.advance(len(table))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return first.schema


def _exported(table: pa.Table, kinds: Mapping[str, pa.DataType | None]) -> pa.Table:
    """The rows with a column for each tag."""
    others = [name for name in table.column_names if name not in COLUMNS and name not in _HIDDEN]
    made = {name: table.column(name) for name in (*COLUMNS, *others)}
    tags = [_DECODER.decode(text) for text in table.column("tags").to_pylist()] if kinds else []
    for tag, kind in kinds.items():
        values = [each.get(tag) for each in tags]
        if kind is None:
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        made[tag if tag not in made else f"tag_{tag}"] = pa.array(values, kind or pa.string())
    return pa.table(made)


def _distribution(path: Path, split: str, schema: pa.Schema) -> Distribution:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    fields = {field.name: str(field.type) for field in schema}
    return Distribution(name=path.name, split=split, sha256=digest, size=path.stat().st_size, fields=fields)


def segment_files(manifest: DatasetManifest) -> list[Distribution]:
    """The dataset's own segments, as they lie in the store."""
    fields: dict[str, Any] = dict.fromkeys((*COLUMNS, "tags"), "string")
    return [
        Distribution(
            name=segment.title,
            split=str(segment.split),
            sha256=segment.digest.removeprefix("sha256:"),
            size=segment.bytes,
            fields=fields,
        )
        for segment in manifest.segments
    ]
