"""The work of step `bundle`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedge.app.steps.bundle import BundleOptions
from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid
from kedge.core.manifest import read_config
from kedge.core.ports import BlobStore
from kedge.core.spec import Spec
from kedge.core.step import StepContext, StepResult
from kedge.registry.bundle import read_export, write_bundle


def work(context: StepContext, options: BundleOptions) -> StepResult:
    """Bind the model, its export if there is one, and the options."""
    model = context.inputs["model"].digest
    export = context.inputs["export"].digest if "export" in context.inputs else ""
    bundle = Bundle(
        model=model,
        prompt=options.prompt or trained_prompt(context.facts, model),
        chat_template=options.chat_template,
        sampling=options.sampling,
        engine=choose_engine(context.blobs, options.engine, model=model, export=export),
        guards=options.guards,
        export=export,
    )
    artifact = write_bundle(context.blobs, bundle)
    return StepResult(outputs={"bundle": artifact}, metrics={"bytes": float(artifact.size)})


def choose_engine(blobs: BlobStore, asked: Spec, *, model: str, export: str) -> Spec:
    """The engine that is bound: never `auto`, and with an export's precision among its flags, or those of the server that
    has the model. `Invalid` if the flags say another precision."""
    upstream = read_config(blobs, model).get("kedge", {}).get("upstream")
    if upstream is not None and asked.name in ("auto", "openai"):
        return Spec(name="openai", args={**upstream, **asked.args})
    name = ("openvino" if export else "transformers") if asked.name == "auto" else asked.name
    if name != "openvino" or not export:
        return Spec(name=name, args=asked.args)
    precision = str((read_export(blobs, export) or {}).get("precision", ""))
    if asked.args.get("precision", precision) != precision:
        raise Invalid(
            f"the engine is to have {asked.args['precision']}, and the export is {precision}",
            address=export,
            hint=f'set precision = "{asked.args["precision"]}" in the stage export',
        )
    return Spec(name=name, args={**asked.args, "precision": precision})


def trained_prompt(facts: Mapping[str, Any], model: str) -> str:
    """The prompt that the run which made the model learned with; the input alone if no run says."""
    for run in facts.get("runs", ()):
        if model in run["outputs"].values() and "prompt" in run["args"]:
            return str(run["args"]["prompt"])
    return "{input}"
