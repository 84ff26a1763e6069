"""Reads the rows of a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.dataset import Reject, Row
from kedge.data.rows import quarantine
from kedge.data.sources.files import open_source
from kedge.data.sources.jsonl import take_fields
from kedge.data.sources.parquet import ParquetOptions
from kedge.data.strict import BadLine
from kedge.data.types import SourceFile
from kedge.text.unicode import has_lone_surrogate


def read(file: SourceFile, options: ParquetOptions) -> Iterator[Row | Reject]:
    """A row a row, named by its number from 0. What cannot be read is a reject, a row group at a time."""
    with open_source(file) as stream:
        try:
            parquet = pq.ParquetFile(stream)
        except (pa.ArrowException, OSError, ValueError) as error:
            yield quarantine(file.label, "parquet", f"not a Parquet file: {error}")
            return
        begin = 0
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            if metadata.total_byte_size > options.max_group_bytes:
                detail = f"row group {group} unpacks to {metadata.total_byte_size} bytes"
                yield quarantine(f"{file.label}#{begin}", "too-long", detail)
            else:
                yield from _group(file, options, parquet, group, begin)
            begin += metadata.num_rows


def _group(
    file: SourceFile, options: ParquetOptions, parquet: pq.ParquetFile, group: int, begin: int
) -> Iterator[Row | Reject]:
    at = begin
    try:
        for batch in parquet.iter_batches(batch_size=1024, row_groups=[group]):
            for values in batch.to_pylist():
                yield _row(f"{file.label}#{at}", values, options)
                at += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        yield quarantine(f"{file.label}#{at}", "parquet", f"row group {group} from row {at} on: {error}")


def _row(source: str, values: Mapping[str, Any], options: ParquetOptions) -> Row | Reject:
    present = {name: value for name, value in values.items() if value is not None}
    try:
        text = json.dumps(present, allow_nan=False, ensure_ascii=False)
        if has_lone_surrogate(text) or "\\u0000" in text:
            raise BadLine("nul", "a character that cannot be kept")
        return take_fields(present, source, options.input, options.target, options.tags)
    except BadLine as error:
        return quarantine(source, error.reason, error.detail)
    except (TypeError, ValueError) as error:
        return quarantine(source, "type", f"a value that JSON cannot hold: {error}")
