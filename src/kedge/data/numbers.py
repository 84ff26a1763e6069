"""What is compared of every row, in a file beside its pack: digests and lengths, read without unpacking any batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

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
    """Writes the numbers of one pack: column behind column, so that one is read without the others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: dict[str, list[NDArray[Any]]] = {name: [] for name in NUMBERS.names or ()}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows with their keys."""
        for name, held in self._columns.items():
            held.append(column_of(batch, name).astype(NUMBERS[name].base, copy=False))

    def close(self) -> None:
        """Write them; they are on disk before the pack's index is: what a power cut left half-written would be
        believed."""
        with self._path.open("wb") as file:
            for held in self._columns.values():
                file.writelines(each.tobytes() for each in held)
            file.flush()
            os.fsync(file.fileno())


def read_numbers(path: Path, name: str, begin: int, end: int) -> NDArray[Any]:
    """Some rows of a column of one pack."""
    rows = path.stat().st_size // NUMBERS.itemsize
    kind, before = NUMBERS.fields[name][:2] if NUMBERS.fields else (NUMBERS, 0)
    at = rows * before + begin * kind.itemsize
    return np.fromfile(path, dtype=kind, count=end - begin, offset=at)
