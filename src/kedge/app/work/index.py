"""The work of step `index`."""

from __future__ import annotations

from kedge.app.steps.index import IndexOptions
from kedge.core.step import StepContext, StepResult
from kedge.data.lookup.build import build_index


def work(context: StepContext, options: IndexOptions) -> StepResult:
    """Build the index."""
    dataset = context.inputs["dataset"].digest
    artifact = build_index(context.blobs, dataset, folder=context.workdir, progress=context.progress)
    return StepResult(outputs={"index": artifact}, metrics={"bytes": float(artifact.size)})
