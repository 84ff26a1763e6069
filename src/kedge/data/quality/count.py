"""Counts what the rules of quality read, once: columns `quality_NAME` beside the text."""

from __future__ import annotations

import pyarrow as pa

from kedge.data.arrays import from_numpy
from kedge.data.columns import string_buffers
from kedge.data.quality.types import PREFIX
from kedge.data.stage import Passed, RowStage
from kedge.text.compiled.columns import COUNTS
from kedge.text.compiled.quality import count_batch


def open_count(_: object) -> RowStage:
    """Appends the counts of the input. It drops nothing: rules are applied to the columns afterwards."""
    return _count


def _count(batch: pa.RecordBatch) -> Passed:
    counts = count_batch(*string_buffers(batch.column("input")))
    for at, name in enumerate(COUNTS):
        batch = batch.append_column(pa.field(PREFIX + name, pa.int32(), nullable=False), from_numpy(counts[:, at]))
    return Passed(batch=batch)
