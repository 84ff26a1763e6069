"""What is compared of every row, in a file beside its pack: digests and lengths, read without unpacking any batch."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
    numbers: NDArray[Any] = column.to_numpy() if pa.types.is_int32(column.type) else binary_column(column)
    return numbers


class NumbersWriter:
    """Writes the numbers of one pack, a batch after the other."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """On disk before the pack's index is: what a power cut left half-written would be believed."""
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows with their keys."""
        numbers = np.empty(batch.num_rows, dtype=NUMBERS)
        for name in NUMBERS.fields or ():
            numbers[name] = column_of(batch, name)
        self._file.write(numbers.tobytes())


def open_numbers(path: Path) -> NDArray[Any]:
    """The numbers of one pack, mapped."""
    return np.memmap(path, dtype=NUMBERS, mode="r") if path.stat().st_size else np.empty(0, dtype=NUMBERS)
