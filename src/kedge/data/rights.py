"""The row-local stages of `policy`: fill in what sources say of their rows, and leave out what may not be used."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pyarrow as pa

from kedge.data.arrays import indices, mask, strings
from kedge.data.policy import checker, filled, reject
from kedge.data.segments import write_tags
from kedge.data.stage import Passed, RowStage
from kedge.data.types import PolicyOptions


def open_rights(rights: Mapping[str, str]) -> RowStage:
    """Adds tags; a row's own say goes first."""

    def stage(batch: pa.RecordBatch) -> Passed:
        tags = [write_tags(filled(rights, msgspec.json.decode(text))) for text in batch.column("tags").to_pylist()]
        at = batch.schema.get_field_index("tags")
        return Passed(batch=batch.set_column(at, batch.schema.field("tags"), strings(tags)))

    return stage


def open_policy(options: PolicyOptions) -> RowStage:
    """Leaves out rows whose tags the policy does not allow."""
    check = checker(options)

    def stage(batch: pa.RecordBatch) -> Passed:
        faults = [check(text) for text in batch.column("tags").to_pylist()]
        if not any(faults):
            return Passed(batch=batch)
        bad = indices([at for at, fault in enumerate(faults) if fault])
        told = batch.select(["id", "source"]).take(bad).to_pylist()
        rejects = tuple(reject(row, why) for row, why in zip(told, filter(None, faults), strict=True))
        return Passed(batch=batch.filter(mask(np.array([fault is None for fault in faults]))), rejects=rejects)

    return stage
