"""Calibration: whether answers are right as often as they are sure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kedge.core.errors import Invalid
from kedge.evaluate.scorers.text import make_normal
from kedge.evaluate.types import Case, Corpus, Scorer
from kedge.statistics.intervals import Floats


def calibration(*, bins: int = 10, ignore: list[str] | None = None, stated: str = "") -> list[Scorer]:
    """`ece`, the expected calibration error over equal bins (Guo et al. 2017), and `brier`; smaller is better.

    An answer's confidence is its probability under the model; with `stated`, what the answer itself says: a pattern
    whose first group is the confidence, as a share or in per cent, and which is cut from the answer. An answer is right
    when it is the target.
    """
    if bins < 1:
        raise Invalid("scorer calibration: it needs at least one bin")
    normal = make_normal("calibration", ignore)
    read = _stated(stated) if stated else None

    def judge(case: Case) -> tuple[float, float] | None:
        """Confidence, and whether the answer is right."""
        text, confidence = read(case.answer.text) if read else (case.answer.text, case.answer.confidence)
        return None if confidence is None else (confidence, float(normal(text) == normal(case.row.target)))

    def brier(case: Case) -> Mapping[str, float]:
        found = judge(case)
        return {} if found is None else {"brier": round((found[0] - found[1]) ** 2, 9)}

    def gap(case: Case) -> Mapping[str, float]:
        found = judge(case)
        return {} if found is None else {"ece": round(abs(found[0] - found[1]), 9)}

    def tally(case: Case) -> list[float]:
        counts = np.zeros((3, bins))
        found = judge(case)
        if found is not None:
            confidence, right = found
            place = min(int(confidence * bins), bins - 1)
            counts[:, place] = 1.0, confidence, right
        return [float(count) for count in counts.ravel()]

    def describe(cases: Sequence[Case]) -> Any:
        counts = np.sum([tally(case) for case in cases], axis=0).reshape(3, bins)
        return [
            {"from": i / bins, "n": int(n), "confidence": round(float(c / n), 6), "right": round(float(r / n), 6)}
            for i, (n, c, r) in enumerate(counts.T)
            if n
        ]

    need = read is None
    bounds = (0.0, 1.0)
    return [
        Scorer(
            name="ece", score=gap, corpus=Corpus(tally=tally, combine=combine_ece), bounds=bounds, lower=True,
            confidence=need, describe=describe,
        ),
        Scorer(name="brier", score=brier, bounds=bounds, lower=True, confidence=need),
    ]  # fmt: skip


def combine_ece(sums: Floats) -> Floats:
    """The mean distance of confidence and accuracy over the bins, weighted by how many cases are in each."""
    n, confidence, right = np.split(sums, 3, axis=1)
    errors: Floats = np.abs(confidence - right).sum(axis=1) / np.maximum(n.sum(axis=1), 1.0)
    return errors


def _stated(pattern: str) -> Any:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise Invalid(f"scorer calibration: not a regular expression: {error}", address=pattern) from error
    if compiled.groups < 1:
        raise Invalid("scorer calibration: `stated` needs a group", hint=r"as in 'confidence: (\d+)'")

    def read(text: str) -> tuple[str, float | None]:
        found = compiled.search(text)
        try:
            value = float(found.group(1)) if found else None
        except ValueError:
            value = None
        if found is None or value is None:
            return text, None
        share = value / 100 if value > 1 or "%" in found.group() else value
        return compiled.sub("", text), min(max(share, 0.0), 1.0)

    return read
