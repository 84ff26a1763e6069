"""Classification: accuracy, macro and micro F1, and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.scorers.normal import Normal
from kedge.evaluate.scorers.text import make_normal
from kedge.evaluate.types import Case, Corpus, Scorer
from kedge.statistics.intervals import Floats

MOST = 1000  # more labels than this are no labels
OTHER = "(other)"  # an answer that is no label


def classification(*, labels: list[str] | None = None, ignore: list[str] | None = None) -> list[Scorer]:
    """`accuracy`, `macro_f1` and `micro_f1` of answers that are labels, with the confusion matrix in the report.

    The labels are those given, or the targets of the cases. An answer that is none of them is wrong for every label.
    """
    normal = make_normal("classification", ["case", "spaces"] if ignore is None else ignore)

    def score(case: Case) -> Mapping[str, float]:
        return {"accuracy": float(normal(case.answer.text) == normal(case.row.target))}

    def prepare(rows: Sequence[Row], scorer: Scorer) -> Scorer:
        known = _labels(rows, labels, normal)
        combine = _macro if scorer.name == "macro_f1" else _micro
        return replace(scorer, corpus=Corpus(tally=_tally(known, normal), combine=combine))

    accuracy = Scorer(
        name="accuracy", score=score, binary=True, describe=lambda cases: _confusion(cases, labels, normal)
    )
    made = [accuracy]
    for name in ("macro_f1", "micro_f1"):
        one = Scorer(name=name, score=lambda case: {}, bounds=(0.0, 1.0))
        made.append(replace(one, prepare=lambda rows, one=one: prepare(rows, one)))  # type: ignore[misc]  # binds `one`
    return made


def _labels(rows: Sequence[Row], labels: list[str] | None, normal: Normal) -> dict[str, int]:
    names = sorted({normal(label) for label in labels or [row.target for row in rows]})
    if len(names) > MOST:
        raise Invalid(
            f"classification: the targets are {len(names):,} different texts, not labels",
            hint="score such answers with exact_match or token_f1",
        )
    return {name: place for place, name in enumerate(names)}


def _tally(known: Mapping[str, int], normal: Normal) -> Any:
    """Of each label, and of all else: right, said, and true."""
    width = len(known) + 1

    def tally(case: Case) -> Floats:
        said = known.get(normal(case.answer.text), len(known))
        true = known.get(normal(case.row.target), len(known))
        counts = np.zeros((3, width))
        counts[0, true] = float(said == true)
        counts[1, said] = 1.0
        counts[2, true] = 1.0
        return counts.ravel()

    return tally


def _macro(sums: Floats) -> Floats:
    """The mean F1 of the labels that were said or true; what is no label counts only as a wrong answer."""
    right, said, true = (part[:, :-1] for part in np.split(sums, 3, axis=1))
    seen = (said + true) > 0
    f1 = np.divide(2 * right, said + true, out=np.zeros_like(right), where=seen)
    means: Floats = f1.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return means


def _micro(sums: Floats) -> Floats:
    right, said, true = (part[:, :-1].sum(axis=1) for part in np.split(sums, 3, axis=1))
    f1: Floats = np.divide(2 * right, said + true, out=np.zeros_like(right), where=(said + true) > 0)
    return f1


def _confusion(cases: Sequence[Case], labels: list[str] | None, normal: Normal) -> dict[str, Any]:
    """`counts[i][j]` cases of label i were answered with label j."""
    known = _labels([case.row for case in cases], labels, normal)
    pairs = Counter((normal(case.row.target), normal(case.answer.text)) for case in cases)
    names = [*known, OTHER]
    counts = [[0] * len(names) for _ in names]
    for (true, said), count in pairs.items():
        counts[known.get(true, len(known))][known.get(said, len(known))] += count
    return {"labels": names, "counts": counts}
