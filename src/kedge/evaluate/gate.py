"""Judges an evaluation by a gate: each rule passes, fails or stays undecided by an interval, never by a bare number.

A model passes when every rule does. Asking for all of several rules, or for all baselines, needs no correction for
multiplicity: a bad model would have to be lucky in the rule that it breaks (an intersection-union test).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult, Evaluation, Finding, Gate, Interval, MetricResult, Outcome, Rule, Verdict
from kedge.evaluate.needed import more_cases, more_pairs
from kedge.evaluate.say import say_cases, say_difference, say_number
from kedge.evaluate.types import MODEL
from kedge.statistics.paired import difference_interval, is_binary

BASELINES = "baselines"
MINIMUM = 20  # fewer cases bound no mean whose scores are not just right or wrong
NAMED = 10  # so many deciding cases are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a gate looks at: an evaluation by its digest, with its cases."""

    digest: str
    evaluation: Evaluation
    cases: Sequence[CaseResult]


def judge(gate: Gate, judged: Judged) -> Verdict:
    """The gate's verdict. `Invalid` for a rule about something that was not evaluated."""
    findings = tuple(finding for rule in gate.rules for finding in _judge(rule, judged))
    return Verdict(
        gate=gate.digest,
        bundle=judged.evaluation.bundle,
        evaluation=judged.digest,
        dataset=judged.evaluation.dataset,
        outcome=sum_up([finding.outcome for finding in findings]),
        findings=findings,
        detail={"gate": gate.name, "cases": judged.evaluation.cases},
    )


def sum_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Fail if one fails, else undecided if one is, else pass."""
    for outcome in (Outcome.FAIL, Outcome.UNDECIDED):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS


def decide(interval: Interval, reference: float, *, above: bool = True, strict: bool = False) -> Outcome:
    """Pass when the whole interval lies at or beyond the reference on the right side (`strict`: beyond it), fail when
    it lies wholly on the other, else undecided."""
    low, high = (interval.low, interval.high) if above else (-interval.high, -interval.low)
    bound = reference if above else -reference
    if low > bound or (low == bound and not strict):
        return Outcome.PASS
    if high < bound or (high == bound and strict):
        return Outcome.FAIL
    return Outcome.UNDECIDED


def _judge(rule: Rule, judged: Judged) -> Iterator[Finding]:
    if isinstance(rule.at_least, str):
        for baseline in _references(rule, judged.evaluation):
            yield _against_baseline(rule, judged, baseline)
    elif rule.at_least is not None:
        yield _against_number(rule, judged, rule.at_least, above=True)
    if rule.at_most is not None:
        yield _against_number(rule, judged, rule.at_most, above=False)


def _references(rule: Rule, evaluation: Evaluation) -> Sequence[str]:
    known = evaluation.baselines
    if rule.at_least == BASELINES and known:
        return known
    if rule.at_least in known:
        return [str(rule.at_least)]
    raise Invalid(
        f"the gate compares {rule.metric} with {rule.at_least!r}, and the evaluation has no such baseline",
        address=str(rule.at_least),
        hint=nearest(str(rule.at_least), [*known, BASELINES]) if known else "give the evaluate stage baselines",
    )


def _against_number(rule: Rule, judged: Judged, reference: float, *, above: bool) -> Finding:
    result = _result(rule, judged.evaluation, MODEL)
    scores = _scores(rule, judged, MODEL)
    binary = bool(scores) and is_binary(list(scores.values()))
    outcome, needed = decide(result.interval, reference, above=above), 0
    if not binary and result.n < MINIMUM:
        outcome, needed = Outcome.UNDECIDED, MINIMUM
    elif outcome is Outcome.UNDECIDED:
        needed = more_cases(result.interval, result.n, reference, binary=binary)
    return Finding(
        rule=rule,
        outcome=outcome,
        interval=result.interval,
        reference=reference,
        text=say_number(rule, result, outcome, reference, above=above) + say_cases(result.n, needed),
        needed=needed,
        cases=_worst(scores, above=above) if outcome is not Outcome.PASS else (),
    )


def _against_baseline(rule: Rule, judged: Judged, baseline: str) -> Finding:
    reference = _result(rule, judged.evaluation, baseline).interval.value
    ours, theirs = _scores(rule, judged, MODEL), _scores(rule, judged, baseline)
    rows = [row for row in ours if row in theirs]
    if not rows:
        raise Invalid(f"{rule.metric} has no score a case to compare with {baseline}", hint="compare another metric")
    first, second = [theirs[row] for row in rows], [ours[row] for row in rows]
    interval = difference_interval(first, second)
    outcome, needed = decide(interval, rule.margin, strict=True), 0
    if len(rows) < MINIMUM and not (is_binary(first) and is_binary(second)):
        outcome, needed = Outcome.UNDECIDED, MINIMUM
    elif outcome is Outcome.UNDECIDED:
        needed = more_pairs(first, second, interval, rule.margin)
    return Finding(
        rule=rule,
        outcome=outcome,
        interval=interval,
        reference=reference,
        text=say_difference(rule, interval, outcome, f"{baseline} ({reference:.3g})") + say_cases(len(rows), needed),
        needed=needed,
        cases=_deciding(rows, first, second, outcome),
    )


def _result(rule: Rule, evaluation: Evaluation, answerer: str) -> MetricResult:
    found = evaluation.find(rule.metric, slice=rule.slice, answerer=answerer)
    if found is not None:
        return found
    metrics = {result.metric for result in evaluation.results if result.answerer == answerer}
    if rule.metric not in metrics:
        whose = "" if answerer == MODEL else f" of {answerer}"
        raise Invalid(
            f"the gate asks for {rule.metric}{whose}, which was not evaluated",
            address=rule.metric,
            hint=nearest(rule.metric, metrics),
        )
    slices = {result.slice for result in evaluation.results if result.slice}
    raise Invalid(
        f"the gate asks for the slice {rule.slice!r}, in which there is no case",
        address=rule.slice,
        hint=nearest(rule.slice, slices),
    )


def _scores(rule: Rule, judged: Judged, answerer: str) -> dict[str, float]:
    """The score of each case of the rule's slice, by row. Empty for a metric that is no mean of scores."""
    return {
        case.row: case.scores[rule.metric]
        for case in judged.cases
        if case.answerer == answerer and rule.metric in case.scores and (not rule.slice or rule.slice in case.slices)
    }


def _worst(scores: dict[str, float], *, above: bool) -> tuple[str, ...]:
    """The cases that speak most against the model."""
    ordered = sorted(scores, key=lambda row: (scores[row] if above else -scores[row], row))
    best = (max if above else min)(scores.values(), default=0.0)
    return tuple(row for row in ordered if scores[row] != best)[:NAMED]


def _deciding(
    rows: Sequence[str], first: Sequence[float], second: Sequence[float], outcome: Outcome
) -> tuple[str, ...]:
    """The cases that make the difference: where the model wins if it passes, else where the baseline does."""
    sign = 1.0 if outcome is Outcome.PASS else -1.0
    gains = {row: sign * (b - a) for row, a, b in zip(rows, first, second, strict=True)}
    return tuple(sorted((row for row in rows if gains[row] > 0), key=lambda row: (-gains[row], row))[:NAMED])
