"""The work of step `dataset`."""

from __future__ import annotations

from kedge.app.project import STATE
from kedge.app.steps.dataset import DatasetOptions, bind_sources
from kedge.core.errors import Invalid
from kedge.core.step import StepContext, StepResult
from kedge.data.build import build
from kedge.data.types import BuildRequest


def work(context: StepContext, options: DatasetOptions) -> StepResult:
    """Build the dataset version."""
    request = BuildRequest(
        name=options.name or context.stage,
        sources=bind_sources(options),
        normalise=options.normalise,
        duplicates=options.duplicates,
        split=options.split,
        parent=options.parent,
    )
    result = build(
        request,
        root=context.root,
        folder=context.workdir,
        blobs=context.blobs,
        progress=context.progress,
        cache=context.root / STATE / "cache" / "rows" / request.name,
    )
    manifest = result.manifest
    if not manifest.rows and not options.allow_empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in manifest.rejects.items())
        raise Invalid(f"no row is left: {reasons or 'the files are empty'}", hint="kedge data ingest shows each reject")
    metrics = {"rows": manifest.rows, "rejected": sum(manifest.rejects.values()), **manifest.profile["splits"]}
    return StepResult(
        outputs={"dataset": result.artifact}, metrics={name: float(value) for name, value in metrics.items()}
    )
