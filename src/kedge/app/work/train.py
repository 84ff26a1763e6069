"""The work of step `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedge.core.artifact import Artifact, ArtifactKind, Blob
from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.core.manifest import export_files, write_artifact
from kedge.core.ports import BlobStore
from kedge.core.step import StepContext, StepResult
from kedge.data.read import read_rows
from kedge.serve.engines.vet import vet_folder
from kedge.train.base import locate_base
from kedge.train.loop import Reports
from kedge.train.train import TrainRequest, train
from kedge.train.types import TrainOptions, TrainResult


def work(context: StepContext, options: TrainOptions) -> StepResult:
    """Train on the train split, watch the validation split, and store the model."""
    base = _base(context, options)
    dataset = context.inputs["dataset"].digest
    request = TrainRequest(
        options=options,
        rows=read_rows(context.blobs, dataset, Split.TRAIN),
        validation=read_rows(context.blobs, dataset, Split.VALIDATION),
        tokenizer=_tokenizer(context, base),
        base=base,
        workdir=context.workdir,
    )
    result = train(request, Reports(progress=context.progress, metrics=context.metrics))
    model = write_model(context.blobs, result)
    return StepResult(outputs={"model": model}, metrics=result.metrics)


def _base(context: StepContext, options: TrainOptions) -> Path | None:
    """The base model's folder, when nothing in it can run code. `Refused`."""
    if not options.base:
        return None
    folder = locate_base(options, root=context.root, workdir=context.workdir)
    vet_folder(folder)
    return folder


def _tokenizer(context: StepContext, base: Path | None) -> Path:
    """The folder of the tokenizer on the input port, or else of the base model's own."""
    given = context.inputs.get("tokenizer")
    if given is not None:
        folder = context.workdir / "tokenizer"
        export_files(context.blobs, given.digest, folder)
        return folder
    if base is None:
        raise Invalid(
            "a model from scratch needs a tokenizer", hint='add a stage with step = "tokenizer", or name a base model'
        )
    return base


def write_model(blobs: BlobStore, result: TrainResult) -> Artifact:
    """A trained model as an artifact that follows the CNCF ModelPack."""
    found = sorted(path for path in result.folder.rglob("*") if path.is_file())
    files = {path.relative_to(result.folder).as_posix(): _stored(blobs, path) for path in found}
    config: dict[str, Any] = {
        "descriptor": {"family": result.architecture},
        "config": {
            "architecture": "transformer",
            "format": "safetensors",
            "paramSize": f"{result.parameters / 1e6:.3g}m",
            "precision": result.dtype,
        },
        "modelfs": {"type": "layers", "diffIds": [blob.digest for blob in files.values()]},
        "kedge": {
            "parameters": result.parameters,
            "trained": result.trained,
            "examples": result.examples,
            "skipped": result.skipped,
            "steps": result.steps,
            "tokens": result.tokens,
            "computed_in": result.precision,
        },
    }
    return write_artifact(blobs, ArtifactKind.MODEL, config, files)


def _stored(blobs: BlobStore, path: Path) -> Blob:
    return Blob(digest=blobs.put_file(path), size=path.stat().st_size, media_type="")
