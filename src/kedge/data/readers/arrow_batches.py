"""Arrow IPC files and streams (Feather is one): a row a row, every batch checked before it is looked into."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.ipc

from kedge.core.dataset import Reject, Row
from kedge.data.readers.detect import HEAD, detect
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import head, open_source
from kedge.data.sources.parquet_rows import read_values
from kedge.data.types import Medium, SourceFile

_BAD = (pa.ArrowException, OSError, ValueError, OverflowError)
SLICE = 1024


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject | Medium]:
    """A row a row, named by its number from 0. What cannot be read is a reject, and so is all after it."""
    at = 0
    with open_source(file) as stream:
        try:
            for batch in _batches(stream, file.label):
                batch.validate(full=True)
                for begin in range(0, batch.num_rows, SLICE):
                    for values in batch.slice(begin, SLICE).to_pylist():
                        yield from read_values(f"{file.label}#{at}", values, options)
                        at += 1
        except _BAD as error:
            yield quarantine(f"{file.label}#{at}", "arrow", f"from row {at} on: {error}")


def _batches(stream: object, label: str) -> Iterator[pa.RecordBatch]:
    kind = detect(head(stream, HEAD), label)  # type: ignore[arg-type]  # any stream of bytes
    if kind == "arrow":
        whole = pa.ipc.open_file(stream)
        yield from (whole.get_batch(i) for i in range(whole.num_record_batches))
    else:
        yield from pa.ipc.open_stream(stream)
