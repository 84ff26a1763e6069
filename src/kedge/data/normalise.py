"""Spells texts one way and leaves out what is empty or too long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from kedge.data.columns import with_texts, without
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
    return without(with_texts(with_texts(batch, "input", inputs), "target", targets), faults)


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
