"""The work of step `bundle`."""

from __future__ import annotations

from kedge.app.steps.bundle import BundleOptions
from kedge.core.bundle import Bundle
from kedge.core.step import StepContext, StepResult
from kedge.registry.bundle import write_bundle


def work(context: StepContext, options: BundleOptions) -> StepResult:
    """Bind the model and the options."""
    bundle = Bundle(
        model=context.inputs["model"].digest,
        prompt=options.prompt,
        chat_template=options.chat_template,
        sampling=options.sampling,
        engine=options.engine,
        guards=options.guards,
    )
    artifact = write_bundle(context.blobs, bundle)
    return StepResult(outputs={"bundle": artifact}, metrics={"bytes": float(artifact.size)})
