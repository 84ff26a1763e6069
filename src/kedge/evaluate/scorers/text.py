"""Scores of an answer as text."""

from __future__ import annotations

from collections.abc import Mapping

from kedge.evaluate.types import Case, Scorer


def exact_match() -> Scorer:
    """1 if the answer is the target, but for white space around it."""

    def score(case: Case) -> Mapping[str, float]:
        return {"exact_match": float(case.answer.text.strip() == case.row.target.strip())}

    return Scorer(name="exact_match", score=score, binary=True)
