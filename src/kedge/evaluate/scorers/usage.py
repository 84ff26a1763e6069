"""What an answer takes: time and money. These measure a machine or a bill, and differ from run to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import quantiles
from typing import Any

from kedge.core.errors import Invalid
from kedge.evaluate.types import Case, Scorer


def latency(*, cases: int = 50) -> Scorer:
    """Mean seconds to a whole answer, with quantiles in the report; smaller is better.

    A remote answerer is timed on every case; an engine on this machine on the first `cases`, asked one at a time, since
    answers of a batch have no time of their own.
    """

    def score(case: Case) -> Mapping[str, float]:
        return {"latency": round(case.answer.seconds, 6)} if case.answer.seconds else {}

    def describe(asked: Sequence[Case]) -> Any:
        seconds = sorted(case.answer.seconds for case in asked if case.answer.seconds)
        if len(seconds) < 2:
            return {}
        cuts = quantiles(seconds, n=100, method="inclusive")
        tokens = sum(case.answer.tokens for case in asked if case.answer.seconds)
        return {
            "n": len(seconds),
            **{f"p{place}": round(cuts[place - 1], 6) for place in (50, 95, 99)},
            "tokens_per_second": round(tokens / sum(seconds), 3),
        }

    return Scorer(name="latency", score=score, describe=describe, lower=True, alone=cases, everybody=False)


def cost(*, input: float, output: float) -> Scorer:
    """Mean cost of an answer, from the price of a million tokens read and of a million written; smaller is better."""
    if input < 0 or output < 0:
        raise Invalid("scorer cost: a price is not negative")

    def price(case: Case) -> float:
        return (case.answer.prompt_tokens * input + case.answer.tokens * output) / 1e6

    def score(case: Case) -> Mapping[str, float]:
        counted = case.answer.prompt_tokens or case.answer.tokens
        return {"cost": round(price(case), 12)} if counted else {}

    def describe(cases: Sequence[Case]) -> Any:
        return {
            "total": round(sum(map(price, cases)), 9),
            "prompt_tokens": sum(case.answer.prompt_tokens for case in cases),
            "tokens": sum(case.answer.tokens for case in cases),
        }

    return Scorer(name="cost", score=score, describe=describe, lower=True, everybody=False)
