"""What is compared of every row, in a file beside its pack: digests and lengths, read without unpacking any batch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.errors import Broken
from kedge.data.arrays import to_numpy
from kedge.data.digests import binary_column, from_hex
from kedge.data.keyed import BODY, CONTENT, INPUT_CHARS, TARGET_CHARS

NUMBERS: Final = np.dtype(
    [("id", "<u8", 2), (CONTENT, "<u8", 2), (BODY, "<u8", 2), (INPUT_CHARS, "<i4"), (TARGET_CHARS, "<i4")]
)
ONLY_NUMBERS: Final = (CONTENT, TARGET_CHARS)  # asked for of all rows or of none
_PLACES: Mapping[str, Any] = NUMBERS.fields or {}  # kind and offset of each
_IN_MEMORY = 1 << 20  # bytes of a column, while it is written


def column_of(batch: pa.RecordBatch, name: str) -> NDArray[Any]:
    """A column of `NUMBERS` from a batch that has its keys: (rows, 2) for digests, (rows,) for lengths."""
    column = batch.column(name)
    if name == "id":
        return from_hex(column)
    numbers: NDArray[Any] = to_numpy(column) if pa.types.is_int32(column.type) else binary_column(column)
    return numbers


class NumbersWriter:
    """Writes the numbers of one pack, column behind column: each is read for itself."""

    def __init__(self, path: Path) -> None:
        self._path, self._stack = path, ExitStack()
        self._columns = {name: self._stack.enter_context(self._spooled()) for name in _PLACES}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows with their keys."""
        for name, column in self._columns.items():
            column.write(column_of(batch, name).astype(NUMBERS[name].base).tobytes())

    def close(self) -> None:
        """Have them on disk before the pack's index is: what a power cut left half-written would be believed."""
        with self._stack, self._path.open("wb") as file:
            for column in self._columns.values():
                column.seek(0)
                shutil.copyfileobj(column, file)
            file.flush()
            os.fsync(file.fileno())

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._stack.close()

    def _spooled(self) -> SpooledTemporaryFile[bytes]:
        return SpooledTemporaryFile(_IN_MEMORY, dir=str(self._path.parent))


def read_numbers(path: Path, name: str, stretches: Iterable[tuple[int, int]], into: NDArray[Any], done: int) -> int:
    """Read stretches of a column of one pack, each from a row on to another, `into` an array that is `done` so far; how
    far it is done then. `Broken` if the pack has no such rows."""
    kind, offset = _PLACES[name]
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        rows = size // NUMBERS.itemsize
        for begin, end in stretches:
            if size % NUMBERS.itemsize or end > rows:
                raise Broken(f"{path} is damaged", hint=f"remove {path.parent}: what it remembers is read again")
            file.seek(offset * rows + begin * kind.itemsize)
            file.readinto(into[done : done + end - begin].data)
            done += end - begin
    return done
