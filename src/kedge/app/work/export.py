"""The work of step `export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kedge.app.steps.export import ExportOptions
from kedge.app.work.bundle import trained_prompt
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle, Sampling
from kedge.core.dataset import Split
from kedge.core.errors import Failed
from kedge.core.generation import GenerationRequest
from kedge.core.manifest import export_files, write_artifact
from kedge.core.ports import BlobStore
from kedge.core.spec import Spec
from kedge.core.step import StepContext, StepResult
from kedge.data.read import read_rows
from kedge.optimize.export import Exported, export
from kedge.optimize.types import FOLDER
from kedge.serve.engines.compare import Agreement, compare_engines, compare_tokens
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.vet import vet_folder

_ROWS = 1000  # texts whose tokens are compared
# Texts that tokenizers disagree on when they disagree on anything, and beginnings for a model without a dataset.
_TEXTS = (
    "",
    " ",
    "one two three",
    "  two  spaces\n\nand\ttabs ",
    "größe straße café naïve",
    "日本語 中文 العربية 🙂 👩‍👩‍👧",
    "def add(a, b):\n    return a + b  # 1234567890",
    "don't DON'T I'll you're",
    "<s> </s> <pad> [INST] <|im_start|>",
    "\x00\x1f\x7f\ufeff\u200b\u00a0",
    "https://example.org/?q=1&r=%20#top",
    "ﬁ ½ ² Å e\u0301 é",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    prompts: Sequence[str]
    tokenised: Sequence[str]


def work(context: StepContext, options: ExportOptions) -> StepResult:
    """Export, ask both, and store the export if they agree."""
    model = context.inputs["model"].digest
    folder = context.workdir / "model"
    export_files(context.blobs, model, folder, link=True)
    vet_folder(folder)
    made = export(folder, folder / FOLDER, model=model, precision=options.precision, progress=context.progress)
    agreement = _check(context, folder, options)
    metrics = {
        "tokenization": agreement.tokenization,
        "greedy_agreement": agreement.answers,
        "token_agreement": agreement.tokens,
        "prompts": float(agreement.prompts),
        "bytes": float(sum(path.stat().st_size for path in made.folder.iterdir())),
    }
    if made.quantised is not None:
        metrics["rounding_error"] = made.quantised.error
    return StepResult(outputs={"export": write_export(context.blobs, made)}, metrics=metrics)


def write_export(blobs: BlobStore, made: Exported) -> Artifact:
    """An export as an artifact: the graph, its weights and what it says of itself, which names the model."""
    files = {f"{FOLDER}/{path.name}": path for path in sorted(made.folder.iterdir())}
    facts = made.facts
    config = {
        "descriptor": {"family": facts.architecture},
        "config": {
            "architecture": "transformer",
            "format": "openvino",
            "paramSize": f"{facts.parameters / 1e6:.3g}m",
            "precision": facts.precision,
        },
        "kedge": {"export": {"model": facts.model, "precision": facts.precision, "made_with": facts.made_with}},
    }
    return write_artifact(blobs, ArtifactKind.MODEL, config, files)


def _check(context: StepContext, folder: Path, options: ExportOptions) -> Agreement:
    """How far the export agrees with its model. `Failed` if the tokens differ, or too many answers do."""
    texts = _texts(context, options)
    tokenization = compare_tokens(folder, texts.tokenised)
    if tokenization < 1:
        raise Failed(
            f"{1 - tokenization:.2%} of the texts become other tokens than in training",
            address=context.inputs["model"].digest,
            hint="serve this model with the engine transformers: leave the stage export out",
        )
    dtype = "bfloat16" if options.precision == "bf16" else "float32"
    bundle = Bundle(model=context.inputs["model"].digest, engine=Spec(name="transformers", args={"dtype": dtype}))
    requests = [
        GenerationRequest(id=str(i), sampling=Sampling(max_tokens=options.tokens), prompt=prompt)
        for i, prompt in enumerate(texts.prompts)
    ]
    reference = open_engine(bundle, folder)
    exported = open_engine(replace(bundle, engine=Spec(name="openvino")), folder)
    try:
        agreement = compare_engines(reference, exported, requests, context.progress)
    finally:
        reference.close()
        exported.close()
    if agreement.answers < options.needed:
        raise Failed(
            f"of {agreement.prompts} greedy answers {agreement.answers:.1%} are the model's own, {options.needed:.1%} are "
            f"needed; the first that differs follows {agreement.differs[:80]!r}",
            address=context.inputs["model"].digest,
            hint="serve it with the engine transformers, or set agree and let a gate judge what is lost",
        )
    return replace(agreement, tokenization=tokenization)


def _texts(context: StepContext, options: ExportOptions) -> _Texts:
    dataset = context.inputs.get("dataset")
    if dataset is None:
        return _Texts(prompts=[text for text in _TEXTS if text.strip()][: options.prompts], tokenised=_TEXTS)
    prompt = trained_prompt(context.facts, context.inputs["model"].digest)
    bundle = Bundle(model=context.inputs["model"].digest, prompt=prompt)
    rows = [
        row for row, _ in zip(read_rows(context.blobs, dataset.digest, Split.VALIDATION), range(_ROWS), strict=False)
    ]
    filled = [bundle.fill(row.input) for row in rows]
    return _Texts(
        prompts=(filled or [text for text in _TEXTS if text.strip()])[: options.prompts],
        tokenised=[*_TEXTS, *filled, *(row.target for row in rows)],
    )
