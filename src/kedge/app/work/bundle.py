"""The work of step `bundle`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedge.app.steps.bundle import BundleOptions
from kedge.core.bundle import Bundle
from kedge.core.step import StepContext, StepResult
from kedge.registry.bundle import write_bundle


def work(context: StepContext, options: BundleOptions) -> StepResult:
    """Bind the model and the options."""
    model = context.inputs["model"].digest
    bundle = Bundle(
        model=model,
        prompt=options.prompt or trained_prompt(context.facts, model),
        chat_template=options.chat_template,
        sampling=options.sampling,
        engine=options.engine,
        guards=options.guards,
    )
    artifact = write_bundle(context.blobs, bundle)
    return StepResult(outputs={"bundle": artifact}, metrics={"bytes": float(artifact.size)})


def trained_prompt(facts: Mapping[str, Any], model: str) -> str:
    """The prompt that the run which made the model learned with; the input alone if no run says."""
    for run in facts.get("runs", ()):
        if model in run["outputs"].values() and "prompt" in run["args"]:
            return str(run["args"]["prompt"])
    return "{input}"
