"""Columns that a user's function computes, kept beside the text."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from kedge.core.errors import Invalid
from kedge.data.stage import BATCH, Passed, RowStage
from kedge.data.types import StageSpec

Feature = Callable[[Sequence[str]], Sequence[float] | Sequence[str]]
"""Registered in the group `kedge.features`: for each text a number or a word. The same text gives the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureStage:
    """The functions by the name of their column, as `module:function`."""

    columns: Mapping[str, str] = field(default_factory=dict)


def feature_stage(columns: Mapping[str, str]) -> StageSpec:
    """The stage, to be opened where rows are read: it is computed again when the source of a function changes."""
    for name in columns:
        if not name.isidentifier() or name.startswith("_") or name in BATCH.names:
            raise Invalid(f"{name!r} cannot be the name of a feature's column")
    modules = tuple(sorted({place.partition(":")[0] for place in columns.values()}))
    return StageSpec(
        name="features", open="kedge.data.features:open_features", options=FeatureStage(columns=columns), code=modules
    )


def open_features(stage: FeatureStage) -> RowStage:
    """Appends a column for each function: of numbers, or of words."""
    return partial(_append, {name: _load(place) for name, place in stage.columns.items()})


def _load(place: str) -> Feature:
    module, _, function = place.partition(":")
    feature: Feature = getattr(importlib.import_module(module), function)
    return feature


def _append(features: Mapping[str, Feature], batch: pa.RecordBatch) -> Passed:
    texts = batch.column("input").to_pylist()
    for name, feature in features.items():
        kind = pa.string() if isinstance(feature(["."])[0], str) else pa.float64()  # also where there is no row
        values = list(feature(texts))
        batch = batch.append_column(pa.field(name, kind, nullable=False), pa.array(values, kind))
    return Passed(batch=batch)
