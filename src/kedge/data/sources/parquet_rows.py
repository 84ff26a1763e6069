"""Reads the rows of a Parquet file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.dataset import Reject, Row
from kedge.core.hashing import digest
from kedge.data.readers.detect import HEAD, detect
from kedge.data.readers.pieces import pieces
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_file, open_source
from kedge.data.sources.jsonl import take_fields
from kedge.data.sources.parquet import ParquetOptions
from kedge.data.strict import BadLine
from kedge.data.types import Medium, SourceFile, Span
from kedge.text.unicode import has_lone_surrogate


def read(file: SourceFile, options: ParquetOptions) -> Iterator[Row | Reject | Medium]:
    """A row a row, named by its number from 0. What cannot be read is a reject, a row group at a time."""
    with open_source(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
        except (pa.ArrowException, OSError, ValueError) as error:
            yield quarantine(f"{file.label}#0", "parquet", f"not a Parquet file: {error}")
            return
        first, last = file.pieces or (0, parquet.num_row_groups)
        begin = sum(parquet.metadata.row_group(group).num_rows for group in range(first))
        for group in range(first, last):
            metadata = parquet.metadata.row_group(group)
            if metadata.total_byte_size > options.max_group_bytes:
                detail = f"row group {group} unpacks to {metadata.total_byte_size} bytes"
                yield quarantine(f"{file.label}#{begin}", "too-long", detail)
            else:
                yield from _group(file, options, parquet, group, begin)
            begin += metadata.num_rows


def cut(file: SourceFile, options: ParquetOptions | FilesOptions, size: int) -> list[Span]:
    """Spans of row groups that unpack to about `size` bytes. None if it cannot be opened."""
    with open_file(file.path) as stream:
        if not stream.peek(4).startswith(b"PAR1"):
            return []
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        try:
            metadata = pq.ParquetFile(stream).metadata
        except (pa.ArrowException, OSError, ValueError):
            return []
    sizes = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    return pieces(sizes, digest, size)


def _group(
    file: SourceFile, options: ParquetOptions, parquet: pq.ParquetFile, group: int, begin: int
) -> Iterator[Row | Reject | Medium]:
    at = begin
    try:
        for batch in parquet.iter_batches(batch_size=1024, row_groups=[group]):
            for values in batch.to_pylist():
                yield from read_values(f"{file.label}#{at}", values, options)
                at += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        yield quarantine(f"{file.label}#{at}", "parquet", f"row group {group} from row {at} on: {error}")


def read_values(
    source: str, values: Mapping[str, Any], options: ParquetOptions | FilesOptions
) -> Iterator[Row | Reject | Medium]:
    """The row that a record of columns makes, after the media in it."""
    media: list[Medium] = []
    try:
        present = {name: _plain(value, media) for name, value in values.items() if value is not None}
        text = json.dumps(present, allow_nan=False, ensure_ascii=False)
        if has_lone_surrogate(text) or "\\u0000" in text:
            raise BadLine("nul", "a character that cannot be kept")
        row = take_fields(present, source, options.input, options.target, options.tags)
    except BadLine as error:
        yield quarantine(source, error.reason, error.detail)
        return
    except (TypeError, ValueError) as error:
        yield quarantine(source, "type", f"a value that JSON cannot hold: {error}")
        return
    yield from media
    yield row


def _plain(value: Any, media: list[Medium]) -> Any:
    """A value as JSON holds it: times in ISO 8601, exact numbers as text, bytes of images and sounds by their digest."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, bytes):
        kind = detect(value[:HEAD], "")
        if not kind.startswith(("image/", "audio/")):
            raise BadLine("type", "bytes that are neither an image nor a sound")
        media.append(Medium(digest=digest(value), data=value))
        return {"digest": media[-1].digest, "kind": kind, "bytes": len(value)}
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"} and isinstance(value["bytes"], bytes):
            return {**_plain(value["bytes"], media), "name": value["path"]}
        return {name: _plain(inner, media) for name, inner in value.items()}
    return [_plain(inner, media) for inner in value] if isinstance(value, list) else value
