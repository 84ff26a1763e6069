"""Step `export`: a model as a graph that the fast engine reads, checked against the model it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Invalid
from kedge.core.step import Step
from kedge.optimize.types import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The precision, and how the export is checked.

    fp32 answers as the model does, token for token; bf16 computes in half the bits; int8 keeps the weights in eight. The
    check asks both the same `prompts` (rows of the validation split, or a few texts) for `tokens` tokens each, greedily;
    fewer equal answers than the share `agree` fail the stage. `agree` is 1 for fp32 and 0 for the others unless it is
    said: what these lose is for a gate to judge.
    """

    precision: Precision = "fp32"
    prompts: int = 32
    tokens: int = 32
    agree: float | None = None

    def __post_init__(self) -> None:
        if self.agree is not None and not 0 <= self.agree <= 1:
            raise Invalid("agree is a share between 0 and 1")
        if self.prompts < 1 or self.tokens < 1:
            raise Invalid("an export is checked with at least one prompt and one token")

    @property
    def needed(self) -> float:
        """The share of equal answers that lets the export through."""
        return self.agree if self.agree is not None else float(self.precision == "fp32")


STEP = Step(
    name="export",
    options=ExportOptions,
    work="kedge.app.work.export:work",
    inputs={"model": ArtifactKind.MODEL, "dataset?": ArtifactKind.DATASET},
    outputs={"export": ArtifactKind.MODEL},
    code=("kedge.app.work.export", "kedge.optimize", "kedge.serve.engines", "kedge.serve.decoding"),
    packages=("openvino", "openvino-genai", "torch", "transformers", "tokenizers", "numpy"),
    summary="Export a model for the fast engine, and check that it answers alike.",
)
