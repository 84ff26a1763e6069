"""Names the stage that counts, without loading what counts."""

from __future__ import annotations

from kedge.data.types import StageSpec


def count_stage() -> StageSpec:
    """The stage, to be opened where rows are read."""
    return StageSpec(name="quality", open="kedge.data.quality.count:open_count", options=())
