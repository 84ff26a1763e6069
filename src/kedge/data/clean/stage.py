"""Names the stage that cleans, without loading what cleans."""

from __future__ import annotations

from kedge.data.clean.types import CleanOptions
from kedge.data.types import StageSpec


def clean_stage(options: CleanOptions) -> StageSpec:
    """The stage, to be opened where rows are read."""
    return StageSpec(name="clean", open="kedge.data.clean.rows:open_clean", options=options)
