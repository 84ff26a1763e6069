"""The last columns of every batch: digests that stand for the text, so that a build compares rows without holding them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kedge.core.dataset import Row
from kedge.core.hashing import canonical
from kedge.data.arrays import fixed, strings, to_numpy
from kedge.data.rows import QUICK
from kedge.data.segments import write_tags
from kedge.data.stage import BATCH

KEY = pa.binary(16)
CONTENT = "_content"  # of input and target: exact duplicates have the same
BODY = "_body"  # of all that is kept of the row
INPUT_CHARS = "_input_chars"
TARGET_CHARS = "_target_chars"


def to_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows as a batch that stages take."""
    columns = [
        [row.id for row in rows],
        [row.input for row in rows],
        [row.target for row in rows],
        [row.source for row in rows],
        [write_tags(row.tags) for row in rows],
    ]
    return pa.record_batch([strings(column) for column in columns], schema=BATCH)


def keyed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its digests."""
    texts = [batch.column(name).cast(pa.binary()).to_pylist() for name in BATCH.names]
    contents, bodies = [], []
    extra = _extra(batch)
    for at, (row, given, wanted, source, tags) in enumerate(zip(*texts, strict=True)):
        inner = hashlib.sha256(b"%d:" % len(given) + given + wanted).digest()[:16]
        contents.append(inner)
        outer = b"%s%s%d:%d:" % (inner, row, len(source), len(tags)) + source + tags + (extra[at] if extra else b"")
        bodies.append(hashlib.sha256(outer).digest()[:16])
    batch = batch.append_column(pa.field(CONTENT, KEY, nullable=False), fixed(contents, KEY))
    batch = batch.append_column(pa.field(BODY, KEY, nullable=False), fixed(bodies, KEY))
    for name, text in ((INPUT_CHARS, "input"), (TARGET_CHARS, "target")):
        lengths = pc.utf8_length(batch.column(text))
        batch = batch.append_column(pa.field(name, pa.int32(), nullable=False), lengths)
    return batch


def kept_fields(schema: pa.Schema) -> list[pa.Field]:
    """The columns of stages that belong in the dataset."""
    return [field for field in schema if field.name not in BATCH.names and not field.name.startswith("_")]


def _extra(batch: pa.RecordBatch) -> list[bytes]:
    """What stages appended to each row, as canonical JSON: a list, with numbers that have fractions as text."""
    columns = [batch.column(field.name) for field in kept_fields(batch.schema)]
    encode = QUICK.encode if all(map(_is_plain, columns)) else canonical
    return list(map(encode, zip(*map(_values, columns), strict=True)))


def _is_plain(column: pa.Array) -> bool:
    kind = column.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind in (pa.string(), pa.bool_()))


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_integer(column.type) and not column.null_count:
        numbers: list[Any] = to_numpy(column).tolist()
        return numbers
    return [repr(value) if isinstance(value, float) else value for value in column.to_pylist()]
