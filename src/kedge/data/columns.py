"""Arrow columns of strings as the bytes and offsets that kernels read, without a copy; and rows taken out of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.dataset import Reject
from kedge.data.arrays import indices, mask, strings
from kedge.data.rows import DETAIL
from kedge.data.stage import Passed


def string_buffers(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of all strings, and where each begins in them; one more than there are."""
    _, offsets, data = column.buffers()
    if not len(column) or data is None:
        return np.zeros(1, dtype=np.uint8), np.zeros(len(column) + 1, dtype=np.int64)
    kind = np.int64 if column.type == pa.large_string() else np.int32
    places = np.frombuffer(offsets, dtype=kind)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(data, dtype=np.uint8), places.astype(np.int64)


def with_texts(batch: pa.RecordBatch, name: str, texts: Sequence[str]) -> pa.RecordBatch:
    """The batch with other texts in one of its columns."""
    at = batch.schema.get_field_index(name)
    return batch.set_column(at, batch.schema.field(at), strings(texts))


def without(batch: pa.RecordBatch, faults: Sequence[tuple[str, str] | None]) -> Passed:
    """The batch without the rows that have a fault: a reason and what exactly."""
    bad = [at for at, fault in enumerate(faults) if fault]
    if not bad:
        return Passed(batch=batch)
    told = batch.select(["id", "source"]).take(indices(bad)).to_pylist()
    rejects = tuple(
        Reject(source=row["source"], reason=reason, detail=detail[:DETAIL], row=row["id"])
        for row, (reason, detail) in zip(told, filter(None, faults), strict=True)
    )
    keep = np.ones(len(faults), dtype=bool)
    keep[bad] = False
    return Passed(batch=batch.filter(mask(keep)), rejects=rejects)
