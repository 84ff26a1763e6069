"""Scores every answer of every answerer, and sums the scores up whole and by slice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult, Evaluation, Interval, MetricResult
from kedge.evaluate.slices import Slicer
from kedge.evaluate.types import MODEL, Answer, Case, Report, Scorer
from kedge.statistics.intervals import mean_interval, ratio_interval, wilson

WHOLE = ""
_DIGITS = 9  # numbers are kept with so many, so that the last bit of a sum decides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is evaluated on which rows, by which scorers and slices."""

    bundle: str
    dataset: str
    rows: Sequence[Row]
    scorers: Sequence[Scorer]
    slicer: Slicer


def evaluate(task: Task, answers: Mapping[str, Sequence[Answer]]) -> Report:
    """The report over the answers of each answerer, the model's first. The same answers give the same report."""
    if MODEL not in answers or any(len(said) != len(task.rows) for said in answers.values()):
        raise Invalid("an evaluation needs the model's answers, and one answer to each row from every answerer")
    names = [scorer.name for scorer in task.scorers]
    if len(set(names)) < len(names):
        raise Invalid(f"a metric is asked for twice: {', '.join(names)}")
    order = [MODEL, *(name for name in answers if name != MODEL)]
    slices = [task.slicer(row) for row in task.rows]
    cases = [list(_score(task, name, answers[name], slices)) for name in order]
    results = [result for scored in cases for result in _sum_up(task.scorers, scored)]
    evaluation = Evaluation(
        bundle=task.bundle,
        dataset=task.dataset,
        cases=len(task.rows),
        results=tuple(results),
        scorers=tuple(names),
    )
    return Report(evaluation=evaluation, cases=tuple(case for scored in cases for case in scored))


def _score(
    task: Task, answerer: str, answers: Sequence[Answer], slices: Sequence[tuple[str, ...]]
) -> Iterator[CaseResult]:
    for row, answer, member in zip(task.rows, answers, slices, strict=True):
        case = Case(row=row, answer=answer)
        scores = {name: value for scorer in task.scorers for name, value in scorer.score(case).items()}
        yield CaseResult(row=row.id, answerer=answerer, answer=answer.text, scores=scores, slices=member)


def _sum_up(scorers: Sequence[Scorer], cases: Sequence[CaseResult]) -> Iterator[MetricResult]:
    groups: dict[str, list[CaseResult]] = {WHOLE: list(cases)}
    for case in cases:
        for name in case.slices:
            groups.setdefault(name, []).append(case)
    for scorer in scorers:
        for name in (WHOLE, *sorted(group for group in groups if group != WHOLE)):
            scored = [case.scores for case in groups[name] if scorer.column in case.scores]
            if scored:
                yield MetricResult(
                    metric=scorer.name,
                    interval=estimate(scorer, scored),
                    n=len(scored),
                    slice=name,
                    answerer=cases[0].answerer,
                )


def estimate(scorer: Scorer, scores: Sequence[Mapping[str, float]]) -> Interval:
    """One number with its interval from the scores of some cases, at least one."""
    values = [score[scorer.column] for score in scores]
    if scorer.binary:
        found = wilson(sum(values), len(values))
    elif scorer.per:
        found = ratio_interval(values, [score[scorer.per] for score in scores], bounds=scorer.bounds)
    else:
        found = mean_interval(values, bounds=scorer.bounds)
    numbers = [found.value, found.low, found.high]
    if scorer.exponent:
        numbers = [math.exp(min(number, 700.0)) for number in numbers]
    value, low, high = (float(f"{number:.{_DIGITS}g}") for number in numbers)
    return replace(found, value=value, low=low, high=high)
