"""What a row-local stage is: a pure function of one Arrow batch, the same in one process, in many, and on Ray."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.dataset import Reject
from kedge.data.types import StageSpec

BATCH = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "input", "target", "source", "tags")])
"""What every batch begins with. `tags` is canonical JSON. Stages may append columns of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a stage made of a batch: the rows that go on, in their order, and a reject for each one that does not.

    A column that a stage appends is there in every batch, also in one without rows, and of the same type. One whose
    name begins with `_` serves the build and is not kept; the others are kept beside the text in the dataset.
    """

    batch: pa.RecordBatch
    rejects: tuple[Reject, ...] = ()


class RowStage(Protocol):
    """Takes a batch and gives what passes. It sees one row at a time: the result must not depend on how rows are cut
    into batches, on what came before, or on the machine. A row keeps its `id` and its `source`."""

    def __call__(self, batch: pa.RecordBatch) -> Passed:
        """The rows that pass, and the others as rejects. Raises nothing, whatever the texts are."""
        ...


class StoredRows(Protocol):
    """Every row that passed the row-local stages, on disk, numbered from 0 in the order of the sources."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows in order, these columns only, in batches of a few thousand."""
        ...

    def numbers(self, column: str) -> NDArray[Any]:
        """A column of digests or lengths of all rows: (rows, 2) or (rows,)."""
        ...

    def take(self, ordinals: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """The rows with these numbers, in the order asked for. Cheap when they lie near each other."""
        ...


def open_stage(spec: StageSpec) -> RowStage:
    """The stage that a spec names."""
    module, _, function = spec.open.partition(":")
    stage: RowStage = getattr(importlib.import_module(module), function)(spec.options)
    return stage


def apply_stages(stages: Sequence[RowStage], batch: pa.RecordBatch) -> Passed:
    """A batch through all stages."""
    rejects: list[Any] = []
    for stage in stages:
        passed = stage(batch)
        batch = passed.batch
        rejects += passed.rejects
    return Passed(batch=batch, rejects=tuple(rejects))
