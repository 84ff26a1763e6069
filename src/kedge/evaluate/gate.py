"""Judges an evaluation by a gate: each rule passes, fails or stays undecided by an interval, never by a bare number.

A model passes when every rule does. Asking for all of several rules, or for all baselines, needs no correction for
multiplicity: a bad model would have to be lucky in the rule that it breaks (an intersection-union test; Berger 1982,
Technometrics 24).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid
from kedge.core.evaluation import (
    CaseResult,
    Evaluation,
    Finding,
    Gate,
    Interval,
    MetricResult,
    Outcome,
    Rule,
    Verdict,
    sum_up,
)
from kedge.evaluate.needed import more_cases, more_pairs
from kedge.evaluate.say import say_absent, say_cases, say_difference, say_number
from kedge.evaluate.types import MODEL
from kedge.statistics.bounded import mean_above
from kedge.statistics.differences import difference_interval, is_binary, span
from kedge.statistics.intervals import LEVEL, Floats
from kedge.statistics.paired import paired_test

BASELINES = "baselines"
MINIMUM = 20  # fewer cases bound no mean whose scores are not just right or wrong
NAMED = 10  # so many deciding cases are named

_ALPHA = 1.0 - LEVEL
_NOTHING = Interval(value=0.0, low=0.0, high=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another version that a rule compares with: what its address was when the gate judged. Without an evaluation on
    the same dataset `digest` is empty, and so is `address` when the alias was never set."""

    address: str = ""
    bundle: str = ""
    digest: str = ""
    cases: Sequence[CaseResult] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a gate looks at: an evaluation by its digest, with its cases, and the versions that rules name."""

    digest: str
    evaluation: Evaluation
    cases: Sequence[CaseResult]
    others: Mapping[str, Other] = field(default_factory=dict)


def judge(gate: Gate, judged: Judged) -> Verdict:
    """The gate's verdict. `Invalid` for a rule about something that was not evaluated."""
    findings = tuple(finding for rule in gate.rules for finding in _judge(rule, judged))
    references = {
        name: {"version": other.address, "bundle": other.bundle, "evaluation": other.digest}
        for name, other in judged.others.items()
    }
    return Verdict(
        gate=gate.digest,
        bundle=judged.evaluation.bundle,
        evaluation=judged.digest,
        dataset=judged.evaluation.dataset,
        outcome=sum_up([finding.outcome for finding in findings]),
        findings=findings,
        detail={
            "gate": gate.name,
            "cases": judged.evaluation.cases,
            **({"references": references} if references else {}),
        },
    )


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
    if rule.version:
        yield _against_version(rule, judged)
    elif isinstance(rule.at_least, str):
        for baseline in _references(rule, judged.evaluation):
            reference = _result(rule, judged.evaluation, baseline).interval.value
            theirs = _scores(rule, judged.cases, baseline)
            yield _against(rule, judged, theirs, baseline, reference)
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
    scores = _scores(rule, judged.cases, MODEL)
    values = np.array(list(scores.values()), dtype=np.float64)
    binary = bool(scores) and is_binary(values)
    outcome, needed = decide(result.interval, reference, above=above), 0
    if not binary and result.n < MINIMUM:
        outcome, needed = Outcome.UNDECIDED, MINIMUM
    elif not binary and _may_be_luck(values, result.interval.value, reference):
        outcome = Outcome.UNDECIDED
    if outcome is Outcome.UNDECIDED:
        needed = max(needed, more_cases(result.interval, result.n, reference, scores=values))
    return Finding(
        rule=rule,
        outcome=outcome,
        interval=result.interval,
        reference=reference,
        text=say_number(rule, result, outcome, reference, above=above) + say_cases(result.n, needed),
        needed=needed,
        cases=_worst(scores, above=above) if outcome is not Outcome.PASS else (),
    )


def _may_be_luck(values: Floats, value: float, reference: float) -> bool:
    """Whether a mean may lie on the other side of the reference because a rare case was not seen."""
    if not len(values) or abs(float(values.mean()) - value) > 1e-9 * max(1.0, abs(value)):
        return False  # no mean of these scores
    sign = 1.0 if value >= reference else -1.0
    low, high = span(values, values)
    worst = min(low, reference - (high - low)) if sign > 0 else -max(high, reference + (high - low))
    if (low, high) == (0.0, 1.0):
        worst = 0.0 if sign > 0 else -1.0
    return mean_above(sign * values, sign * reference, worst) > _ALPHA


def _against_version(rule: Rule, judged: Judged) -> Finding:
    """The rule's finding against another version on the same cases."""
    other = judged.others.get(rule.version, Other())
    outcome, why = Outcome.PASS, ""
    if not other.address:
        why = f"{rule.version} was never set: there is nothing to beat"
    elif other.bundle == judged.evaluation.bundle:
        why = f"{rule.version} is this very bundle"
    elif not other.digest:
        outcome, why = Outcome.UNDECIDED, f"{_exactly(rule.version, other)} was not evaluated on the same dataset"
    if why:
        return Finding(
            rule=rule, outcome=outcome, interval=_NOTHING, reference=0.0, text=say_absent(rule, outcome, why)
        )
    theirs = _scores(rule, other.cases, MODEL)
    mean = float(np.mean(list(theirs.values()))) if theirs else 0.0
    return _against(rule, judged, theirs, _exactly(rule.version, other), mean)


def _exactly(named: str, other: Other) -> str:
    return named if named == other.address else f"{named}, which is {other.address},"


def _against(rule: Rule, judged: Judged, theirs: Mapping[str, float], name: str, reference: float) -> Finding:
    """The rule's finding against another answerer, case by case."""
    ours = _scores(rule, judged.cases, MODEL)
    rows = [row for row in ours if row in theirs]
    if not rows:
        _result(rule, judged.evaluation, MODEL)
        raise Invalid(f"{rule.metric} has no score a case to compare with {name}", hint="compare another metric")
    sign = -1.0 if rule.metric in judged.evaluation.lower else 1.0
    first, second = (sign * np.array([each[row] for row in rows], dtype=np.float64) for each in (theirs, ours))
    binary = is_binary(abs(first)) and is_binary(abs(second))
    if binary and sign < 0:
        first, second = 1.0 + first, 1.0 + second
    interval = difference_interval(first, second)
    test = paired_test(first, second, difference=rule.margin)
    outcome, needed = decide(interval, rule.margin, strict=True), 0
    if len(rows) < MINIMUM and not binary:
        outcome, needed = Outcome.UNDECIDED, MINIMUM
    elif max(test.p, test.guard) > _ALPHA:
        outcome = Outcome.UNDECIDED
    if outcome is Outcome.UNDECIDED:
        needed = max(needed, more_pairs(first, second, interval, rule.margin))
    told = interval if sign > 0 else replace(interval, value=-interval.value, low=-interval.high, high=-interval.low)
    return Finding(
        rule=rule,
        outcome=outcome,
        interval=told,
        reference=reference,
        text=say_difference(rule, told, outcome, f"{name} ({reference:.3g})") + say_cases(len(rows), needed),
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


def _scores(rule: Rule, cases: Sequence[CaseResult], answerer: str) -> dict[str, float]:
    """The score of each case of the rule's slice, by row. Empty for a metric that is no mean of scores."""
    return {
        case.row: case.scores[rule.metric]
        for case in cases
        if case.answerer == answerer and rule.metric in case.scores and (not rule.slice or rule.slice in case.slices)
    }


def _worst(scores: dict[str, float], *, above: bool) -> tuple[str, ...]:
    """The cases that speak most against the model."""
    ordered = sorted(scores, key=lambda row: (scores[row] if above else -scores[row], row))
    best = (max if above else min)(scores.values(), default=0.0)
    return tuple(row for row in ordered if scores[row] != best)[:NAMED]


def _deciding(rows: Sequence[str], first: Floats, second: Floats, outcome: Outcome) -> tuple[str, ...]:
    """The cases that make the difference: where the model wins if it passes, else where the other does."""
    sign = 1.0 if outcome is Outcome.PASS else -1.0
    gains = dict(zip(rows, (sign * (second - first)).tolist(), strict=True))
    return tuple(sorted((row for row in rows if gains[row] > 0), key=lambda row: (-gains[row], row))[:NAMED])
