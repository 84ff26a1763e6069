"""Step `evaluate`: scores a bundle case by case on held-out rows, with baselines beside it."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.artifact import ArtifactKind
from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.core.spec import Spec
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What is asked, how it is scored, and what it is compared with.

    `cases` rows of the split are chosen by their ids, so that the same dataset gives the same cases. `scorers` and
    `baselines` are names of the catalogues, or `{ name = ..., args = { ... } }`. `slices` are columns of the rows
    (counts become 0, 1, 2, 3, 4+ and >=2) or comparisons such as `"args>=3"`.
    """

    split: Split = Split.TEST
    cases: int = 1000
    scorers: tuple[str | Spec, ...] = ("exact_match",)
    baselines: tuple[str | Spec, ...] = ("most_common",)
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.cases < 1:
            raise Invalid("an evaluation needs at least one case", hint="cases = 1000")
        if not self.scorers:
            raise Invalid("an evaluation without scorers says nothing", hint='scorers = ["exact_match"]')


STEP = Step(
    name="evaluate",
    options=EvaluateOptions,
    work="kedge.app.work.evaluate:work",
    inputs={"bundle": ArtifactKind.BUNDLE, "dataset": ArtifactKind.DATASET},
    outputs={"evaluation": ArtifactKind.REPORT},
    code=(
        "kedge.app.work.evaluate",
        "kedge.evaluate.answer",
        "kedge.evaluate.baselines",
        "kedge.evaluate.choose",
        "kedge.evaluate.report",
        "kedge.evaluate.run",
        "kedge.evaluate.scorers",
        "kedge.evaluate.slices",
        "kedge.evaluate.types",
        "kedge.serve.decoding",
        "kedge.serve.engines",
        "kedge.statistics.intervals",
    ),
    packages=("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers"),
    summary="Score a bundle on held-out rows, whole and by slice, beside its baselines.",
)
