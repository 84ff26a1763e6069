"""What is compared of every row, in a file beside its pack: digests and lengths, read without unpacking any batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.data.arrays import to_numpy
from kedge.data.digests import binary_column, from_hex
from kedge.data.keyed import BODY, CONTENT, INPUT_CHARS, TARGET_CHARS

NUMBERS: Final = np.dtype(
    [("id", "<u8", 2), (CONTENT, "<u8", 2), (BODY, "<u8", 2), (INPUT_CHARS, "<i4"), (TARGET_CHARS, "<i4")]
)


def column_of(batch: pa.RecordBatch, name: str) -> NDArray[Any]:
    """A column of `NUMBERS` from a batch that has its keys: (rows, 2) for digests, (rows,) for lengths."""
    column = batch.column(name)
    if name == "id":
        return from_hex(column)
    numbers: NDArray[Any] = to_numpy(column) if pa.types.is_int32(column.type) else binary_column(column)
    return numbers


class NumbersWriter:
    """Writes the numbers of one pack, row behind row, as batches come."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows with their keys."""
        numbers = np.empty(batch.num_rows, dtype=NUMBERS)
        for name in NUMBERS.names or ():
            numbers[name] = column_of(batch, name)
        self._file.write(numbers.tobytes())

    def close(self) -> None:
        """Have them on disk before the pack's index is: what a power cut left half-written would be believed."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def abandon(self) -> None:
        """Close without a wait for the disk."""
        self._file.close()


def read_numbers(path: Path, name: str, begin: int, end: int) -> NDArray[Any]:
    """A column of some rows of one pack."""
    numbers: NDArray[Any] = np.fromfile(path, NUMBERS, end - begin, offset=begin * NUMBERS.itemsize)[name]
    return numbers
