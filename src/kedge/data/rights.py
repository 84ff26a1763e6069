"""The row-local stages of `policy`: fill in what sources say of their rows, and leave out what may not be used."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pyarrow as pa

from kedge.data.columns import with_texts, without
from kedge.data.policy import checker, filled
from kedge.data.segments import write_tags
from kedge.data.stage import Passed, RowStage
from kedge.data.types import PolicyOptions


def open_rights(rights: Mapping[str, str]) -> RowStage:
    """Adds tags; a row's own say goes first."""

    def stage(batch: pa.RecordBatch) -> Passed:
        tags = [write_tags(filled(rights, msgspec.json.decode(text))) for text in batch.column("tags").to_pylist()]
        return Passed(batch=with_texts(batch, "tags", tags))

    return stage


def open_policy(options: PolicyOptions) -> RowStage:
    """Leaves out rows whose tags the policy does not allow."""
    check = checker(options)

    def stage(batch: pa.RecordBatch) -> Passed:
        return without(batch, [check(text) for text in batch.column("tags").to_pylist()])

    return stage
