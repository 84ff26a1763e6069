"""Scores every answer of every answerer, and sums the scores up whole and by slice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult, Evaluation, Interval, MetricResult
from kedge.evaluate.corpus import corpus_interval
from kedge.evaluate.slices import Slicer
from kedge.evaluate.types import MODEL, Answer, Case, Report, Scorer
from kedge.statistics.differences import difference_interval
from kedge.statistics.intervals import mean_interval, ratio_interval, wilson

WHOLE = ""
CHANGED = "~"  # stands between an answerer and what was changed in its inputs
_DIGITS = 9  # numbers are kept with so many, so that the last bit of a sum decides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is evaluated on which rows, by which scorers and slices. `subject` names what is no bundle."""

    bundle: str
    dataset: str
    rows: Sequence[Row]
    scorers: Sequence[Scorer]
    slicer: Slicer
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """One answerer's cases with their results."""

    answerer: str
    cases: Sequence[Case]
    results: Sequence[CaseResult]


def evaluate(task: Task, answers: Mapping[str, Sequence[Answer]]) -> Report:
    """The report over the answers of each answerer, the model's first. The same answers give the same report."""
    if MODEL not in answers or any(len(said) != len(task.rows) for said in answers.values()):
        raise Invalid("an evaluation needs the model's answers, and one answer to each row from every answerer")
    names = [scorer.name for scorer in task.scorers]
    if len(set(names)) < len(names):
        raise Invalid(f"a metric is asked for twice: {', '.join(names)}")
    scorers = [scorer.prepare(task.rows) if scorer.prepare else scorer for scorer in task.scorers]
    order = [MODEL, *(name for name in answers if name != MODEL)]
    slices = [task.slicer(row) for row in task.rows]
    scored = [_score(_cases(task.rows, name, answers), scorers, name, slices) for name in order]
    results = [result for each in scored for result in _sum_up(scorers, each)]
    results += [result for each in scored for result in _changes(scorers, scored[0], each)]
    evaluation = Evaluation(
        bundle=task.bundle,
        dataset=task.dataset,
        cases=len(task.rows),
        results=tuple(results),
        scorers=tuple(names),
        lower=tuple(scorer.name for scorer in scorers if scorer.lower),
        subject=task.subject,
        detail=_detail(scorers, scored[0].cases),
    )
    return Report(evaluation=evaluation, cases=tuple(case for each in scored for case in each.results))


def _cases(rows: Sequence[Row], answerer: str, answers: Mapping[str, Sequence[Answer]]) -> list[Case]:
    others = {name: said for name, said in answers.items() if name != answerer}
    return [
        Case(row=row, answer=answer, others={name: said[place].text for name, said in others.items()})
        for place, (row, answer) in enumerate(zip(rows, answers[answerer], strict=True))
    ]


def _score(
    cases: Sequence[Case], scorers: Sequence[Scorer], answerer: str, slices: Sequence[tuple[str, ...]]
) -> _Scored:
    scores: list[dict[str, float]] = [{} for _ in cases]
    for scorer in scorers:
        if scorer.everybody or answerer == MODEL:
            found = scorer.many(cases) if scorer.many else [scorer.score(case) for case in cases]
            for known, new in zip(scores, found, strict=True):
                known.update(new)
    results = [
        CaseResult(row=case.row.id, answerer=answerer, answer=case.answer.text, scores=score, slices=member)
        for case, score, member in zip(cases, scores, slices, strict=True)
    ]
    return _Scored(answerer=answerer, cases=cases, results=results)


def _sum_up(scorers: Sequence[Scorer], scored: _Scored) -> Iterator[MetricResult]:
    groups: dict[str, list[int]] = {WHOLE: list(range(len(scored.results)))}
    for place, case in enumerate(scored.results):
        for name in case.slices:
            groups.setdefault(name, []).append(place)
    for scorer in scorers:
        if scorer.corpus is not None and (scorer.everybody or scored.answerer == MODEL):
            tallies = np.asarray([scorer.corpus.tally(case) for case in scored.cases], dtype=np.float64)
        else:
            tallies = None
        for name in (WHOLE, *sorted(group for group in groups if group != WHOLE)):
            places = groups[name]
            if tallies is not None and scorer.corpus is not None:
                counted = tallies[places][tallies[places].any(axis=1)]
                if not len(counted):
                    continue
                interval = corpus_interval(counted, scorer.corpus.combine, bounds=scorer.bounds)
                found, n = rounded(interval), len(counted)
            else:
                rows = (scored.results[place].scores for place in places)
                scores = [score for score in rows if scorer.column in score]
                if not scores:
                    continue
                found, n = estimate(scorer, scores), len(scores)
            yield MetricResult(metric=scorer.name, interval=found, n=n, slice=name, answerer=scored.answerer)


def _changes(scorers: Sequence[Scorer], model: _Scored, other: _Scored) -> Iterator[MetricResult]:
    """What a change of its inputs does to the model, case by case: changed minus unchanged."""
    name, _, change = other.answerer.partition(CHANGED)
    if name != MODEL or not change:
        return
    for scorer in scorers:
        pairs = [
            (before.scores[scorer.name], after.scores[scorer.name])
            for before, after in zip(model.results, other.results, strict=True)
            if scorer.name in before.scores and scorer.name in after.scores
        ]
        if pairs and not scorer.per:
            interval = difference_interval([before for before, _ in pairs], [after for _, after in pairs])
            yield MetricResult(metric=f"{scorer.name}{CHANGED}{change}", interval=rounded(interval), n=len(pairs))


def _detail(scorers: Sequence[Scorer], cases: Sequence[Case]) -> dict[str, Any]:
    return {scorer.name: scorer.describe(cases) for scorer in scorers if scorer.describe}


def estimate(scorer: Scorer, scores: Sequence[Mapping[str, float]]) -> Interval:
    """One number with its interval from the scores of some cases, at least one."""
    values = [score[scorer.column] for score in scores]
    if scorer.binary:
        found = wilson(sum(values), len(values))
    elif scorer.per:
        found = ratio_interval(values, [score[scorer.per] for score in scores], bounds=scorer.bounds)
    else:
        found = mean_interval(values, bounds=scorer.bounds)
    if scorer.exponent:
        value, low, high = (math.exp(min(number, 700.0)) for number in (found.value, found.low, found.high))
        found = replace(found, value=value, low=low, high=high)
    return rounded(found)


def rounded(interval: Interval) -> Interval:
    """The interval as it is kept."""
    value, low, high = (float(f"{number:.{_DIGITS}g}") for number in (interval.value, interval.low, interval.high))
    return replace(interval, value=value, low=low, high=high)
