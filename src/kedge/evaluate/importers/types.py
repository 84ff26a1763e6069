"""What is read of another tool's evaluation, and how it becomes one of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult, Evaluation, MetricResult
from kedge.core.hashing import digest_of
from kedge.evaluate.run import estimate
from kedge.evaluate.types import MODEL, Report, Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Another tool's evaluation: who answered, and each case as it was scored there.

    `tasks` are the names under which cases are sliced. `reported` is what the tool says of the whole, `left_out` the
    metrics of which it says nothing by case. `content` stands for what was asked, so that two evaluations of the same
    cases are known as such. `bundle` is the bundle that answered, where it was one of ours.
    """

    tool: str
    subject: str
    content: str
    cases: Sequence[CaseResult]
    lower: tuple[str, ...] = ()
    reported: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    bundle: str = ""


def as_report(foreign: Foreign) -> Report:
    """The evaluation with intervals of our own over the cases' very scores. `Invalid` without a case."""
    if not foreign.cases:
        raise Invalid(f"there is no case in what {foreign.tool} wrote", hint="it must be told to log every sample")
    metrics = list(dict.fromkeys(name for case in foreign.cases for name in case.scores))
    groups: dict[str, list[CaseResult]] = {"": list(foreign.cases)}
    for case in foreign.cases:
        for name in case.slices:
            groups.setdefault(name, []).append(case)
    if len(groups) == 2:  # one task is no slice of itself
        groups = {"": groups[""]}
    results = [
        MetricResult(metric=metric, interval=estimate(_scorer(metric, scores), scores), n=len(scores), slice=name)
        for metric in metrics
        for name in ("", *sorted(filter(None, groups)))
        if (scores := [case.scores for case in groups[name] if metric in case.scores])
    ]
    detail: dict[str, Any] = {"tool": foreign.tool}
    detail |= {"reported": foreign.reported} if foreign.reported else {}
    detail |= {"left_out": list(foreign.left_out)} if foreign.left_out else {}
    evaluation = Evaluation(
        bundle=foreign.bundle,
        dataset=digest_of([foreign.tool, foreign.content]),
        cases=len({case.row for case in foreign.cases}),
        results=tuple(results),
        scorers=tuple(metrics),
        lower=foreign.lower,
        subject=foreign.subject,
        detail=detail,
    )
    return Report(evaluation=evaluation, cases=tuple(foreign.cases))


def as_case(row: str, answer: str, scores: Mapping[str, float], slices: tuple[str, ...]) -> CaseResult:
    """One case. Scores that are no finite number are left out."""
    kept = {name: float(value) for name, value in scores.items() if math.isfinite(value)}
    return CaseResult(row=row, answerer=MODEL, answer=answer, scores=kept, slices=slices)


def _scorer(metric: str, scores: Sequence[Mapping[str, float]]) -> Scorer:
    values = [score[metric] for score in scores]
    inside = all(0.0 <= value <= 1.0 for value in values)
    return Scorer(
        name=metric,
        score=lambda case: {},
        binary=all(value in (0.0, 1.0) for value in values),
        bounds=(0.0, 1.0) if inside else None,
    )
