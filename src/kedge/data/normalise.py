"""Spells texts one way and leaves out what is empty or too long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from kedge.core.dataset import Reject
from kedge.data.arrays import indices, mask, strings
from kedge.data.rows import DETAIL
from kedge.data.stage import Passed, RowStage
from kedge.data.types import NormaliseOptions, StageSpec
from kedge.text.unicode import tidy


def normalise_stage(options: NormaliseOptions) -> StageSpec:
    """The stage, to be opened where rows are read."""
    return StageSpec(name="normalise", open="kedge.data.normalise:open_normalise", options=options)


def open_normalise(options: NormaliseOptions) -> RowStage:
    """Tidies texts. A row keeps its id: it is that of what the source said."""
    return partial(_normalise, options, partial(tidy, form=options.unicode))


def _normalise(options: NormaliseOptions, spell: Callable[[str], str], batch: pa.RecordBatch) -> Passed:
    inputs = [spell(text) for text in batch.column("input").to_pylist()]
    targets = [spell(text) for text in batch.column("target").to_pylist()]
    faults = [_fault(given, wanted, options) for given, wanted in zip(inputs, targets, strict=True)]
    batch = batch.set_column(1, batch.schema.field("input"), strings(inputs))
    batch = batch.set_column(2, batch.schema.field("target"), strings(targets))
    if not any(faults):
        return Passed(batch=batch)
    bad = [at for at, fault in enumerate(faults) if fault]
    told = batch.select(["id", "source"]).take(indices(bad)).to_pylist()
    rejects = tuple(
        Reject(source=row["source"], reason=reason, detail=detail[:DETAIL], row=row["id"])
        for row, (reason, detail) in zip(told, filter(None, faults), strict=True)
    )
    return Passed(batch=batch.filter(mask(np.array([fault is None for fault in faults]))), rejects=rejects)


def _fault(given: str, wanted: str, options: NormaliseOptions) -> tuple[str, str] | None:
    """Why a row cannot stay: the reason and what exactly."""
    if not given or given.isspace():
        return "empty", "nothing is left of the input"
    size = len(given) + len(wanted)
    if size < options.min_chars:
        return "too-short", f"{size} characters; the least is {options.min_chars}"
    if size > options.max_chars:
        return "too-long", f"{size} characters; the limit is {options.max_chars}"
    return None
