"""Scores of how likely the target was to the model."""

from __future__ import annotations

from collections.abc import Mapping

from kedge.evaluate.types import Case, Scorer


def perplexity() -> Scorer:
    """e to the power of the mean negative log-likelihood of a target's token; smaller is better."""

    def score(case: Case) -> Mapping[str, float]:
        likelihood = case.answer.likelihood
        if likelihood is None or likelihood.tokens == 0:
            return {}
        return {"nll": round(-likelihood.logprob, 6), "tokens": float(likelihood.tokens)}

    return Scorer(name="perplexity", score=score, total="nll", per="tokens", exponent=True, likelihood=True, lower=True)
