"""Arrow arrays of plain values, and back. Those of Arrow import pandas if it is there: half a second in every process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.errors import Invalid

_MOST: Final = (1 << 31) - 1  # bytes that the offsets of an array reach


def strings(texts: Iterable[str]) -> pa.StringArray:
    """Texts. `Invalid` if they are more than 2 GiB together."""
    return _ragged([text.encode() for text in texts], pa.string())


def blobs(values: Iterable[bytes]) -> pa.BinaryArray:
    """Bytes of any length. `Invalid` if they are more than 2 GiB together."""
    return _ragged(list(values), pa.binary())


def fixed(values: Sequence[bytes], kind: pa.FixedSizeBinaryType) -> pa.FixedSizeBinaryArray:
    """Bytes, each as many as `kind` says."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(b"".join(values))])


def from_numpy(values: NDArray[Any]) -> pa.Array:
    """Numbers, without a copy where they lie behind each other."""
    whole = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(whole.dtype), len(whole), [None, pa.py_buffer(whole)])


def to_numpy(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """The numbers of a column in which none is missing."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.from_dlpack(whole)


def indices(values: Sequence[int]) -> pa.Int64Array:
    """Places of rows."""
    return from_numpy(np.asarray(values, dtype=np.int64))


def mask(values: NDArray[np.bool_]) -> pa.BooleanArray:
    """Which rows are meant."""
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])


def _ragged(values: Sequence[bytes], kind: pa.DataType) -> Any:
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    if ends[-1] > _MOST:
        raise Invalid(f"{ends[-1]:,} bytes of text in one batch", hint="cut the longest rows: a batch takes 2 GiB")
    offsets = pa.py_buffer(ends.astype(np.int32))
    return pa.Array.from_buffers(kind, len(values), [None, offsets, pa.py_buffer(b"".join(values))])
