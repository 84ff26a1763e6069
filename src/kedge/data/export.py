"""Copies a dataset to a folder that pandas, polars, DuckDB and `datasets` read: Parquet with a column for each tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from kedge.data.arrays import mask
from kedge.data.card import Distribution, card, readme
from kedge.data.read import read_dataset

COLUMNS = ("id", "input", "target", "source", "cluster")
TOGETHER = 12  # segments of one file: about a hundred megabytes
THREADS = 4
CARD = "croissant.json"
README = "README.md"

_HIDDEN = ("tags", "body")
_KINDS = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}
_DECODER = msgspec.json.Decoder()


def export(blobs: BlobStore, dataset: str, folder: Path, progress: Progress) -> list[Path]:
    """Write a file a split (several if it is large), `manifest.json`, a Croissant card and a page for the hub.

    A tag is a column of its own type when all its values have one, and of JSON text otherwise. Each file appears whole.
    `Conflict` if one of them is there already.
    """
    manifest = read_dataset(blobs, dataset)
    targets = _targets(manifest, folder)
    about, described, page = folder / "manifest.json", folder / CARD, folder / README
    for path in (*targets, about, described, page):
        if path.exists():
            raise Conflict(f"{path} is there already", address=str(path), hint="choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    progress.start(manifest.rows, "exporting rows")
    kinds = tag_kinds(manifest)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="export") as pool:
        futures = [pool.submit(_write, blobs, path, held, kinds, progress) for path, held in targets.items()]
        files = [future.result() for future in futures]
    about.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    described.write_bytes(msgspec.json.format(msgspec.json.encode(card(manifest, dataset, files))))
    page.write_text(readme(manifest, dataset, files))
    return [*targets, about, described, page]


def _targets(manifest: DatasetManifest, folder: Path) -> dict[Path, Sequence[Segment]]:
    """The files to write, each with its segments."""
    targets: dict[Path, Sequence[Segment]] = {}
    for split in Split:
        held = [segment for segment in manifest.segments if segment.split is split]
        groups = [held[at : at + TOGETHER] for at in range(0, len(held), TOGETHER)]
        for number, group in enumerate(groups):
            name = f"{split}-{number:05}-of-{len(groups):05}" if len(groups) > 1 else str(split)
            targets[folder / f"{name}.parquet"] = group
    return targets


def tag_kinds(manifest: DatasetManifest) -> dict[str, pa.DataType | None]:
    """The column type of each tag: the one that all its values have, or None for text in JSON."""
    tags = manifest.profile["tags"]
    return {name: _column(tuple(tags[name]["types"])) for name in sorted(tags) if tags[name]["types"]}


def _column(types: tuple[str, ...]) -> pa.DataType | None:
    if types == ("float", "int"):
        return pa.float64()
    return _KINDS.get(types[0]) if len(types) == 1 else None


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
            yield table if here.all() else table.filter(mask(here))


def _write(
    blobs: BlobStore,
    path: Path,
    segments: Sequence[Segment],
    kinds: Mapping[str, pa.DataType | None],
    progress: Progress,
) -> Distribution:
    tables = (_exported(table, kinds) for segment in segments for table in _tables(blobs, segment))
    first = next(tables)
    temporary = path.with_name(f".{path.name}.part")
    try:
        plain = {"id", "input", "target"}  # hardly a value twice
        coded = [name for name in first.schema.names if name not in plain]
        with pq.ParquetWriter(temporary, first.schema, compression="zstd", use_dictionary=coded) as out:
            for table in chain([first], tables):
                out.write_table(table)
                progress.advance(len(table))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return _distribution(path, str(segments[0].split), first.schema)


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
