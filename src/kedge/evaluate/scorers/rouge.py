"""ROUGE, by rouge-score."""

from __future__ import annotations

from collections.abc import Mapping

from rouge_score.rouge_scorer import RougeScorer

from kedge.core.errors import Invalid
from kedge.evaluate.types import Case, Scorer

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def rouge(*, kinds: list[str] | None = None, stemmer: bool = False) -> list[Scorer]:
    """The F1 of each kind of ROUGE (Lin 2004): `rouge1`, `rouge2`, `rougeL`, `rougeLsum`."""
    wanted = list(kinds or ("rouge1", "rouge2", "rougeL"))
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown:
        raise Invalid(f"scorer rouge: no kind {unknown[0]!r}", hint=f"there are: {', '.join(KINDS)}")
    return [_make(kind, RougeScorer([kind], use_stemmer=stemmer)) for kind in wanted]


def _make(kind: str, metric: RougeScorer) -> Scorer:
    def score(case: Case) -> Mapping[str, float]:
        return {kind: float(metric.score(case.row.target, case.answer.text)[kind].fmeasure)}

    return Scorer(name=kind, score=score, bounds=(0.0, 1.0))
