from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult, Evaluation, Gate, Interval, MetricResult, Outcome, Rule, Verdict
from kedge.evaluate.gate import MINIMUM, Judged, decide, judge
from kedge.statistics.differences import is_binary
from kedge.statistics.intervals import mean_interval, wilson


def make_judged(scores: dict[str, Sequence[float]], *, metric: str = "exact_match", slice: str = "") -> Judged:
    """An evaluation from the scores of each answerer, in the order of the rows."""
    results: list[MetricResult] = []
    cases: list[CaseResult] = []
    for answerer, values in scores.items():
        interval = wilson(sum(values), len(values)) if is_binary(values) else mean_interval(values)
        whole = MetricResult(metric=metric, interval=interval, n=len(values), answerer=answerer)
        results += [replace(whole, slice=name) for name in sorted({"", slice})]
        members = (slice,) if slice else ()
        cases += [
            CaseResult(row=f"r{i:04d}", answerer=answerer, answer="", scores={metric: value}, slices=members)
            for i, value in enumerate(values)
        ]
    evaluation = Evaluation(bundle="b", dataset="d", cases=len(scores["model"]), results=tuple(results))
    return Judged(digest="e", evaluation=evaluation, cases=cases)


def ones(right: int, n: int) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


def verdict_of(rule: Rule, judged: Judged) -> Verdict:
    return judge(Gate(name="gate", rules=(rule,)), judged)


@pytest.mark.parametrize(
    ("right", "outcome"), [(700, Outcome.PASS), (400, Outcome.FAIL), (560, Outcome.UNDECIDED), (540, Outcome.UNDECIDED)]
)
def test_a_bound_is_judged_by_the_whole_interval(right: int, outcome: Outcome) -> None:
    verdict = verdict_of(Rule(metric="exact_match", at_least=0.55), make_judged({"model": ones(right, 1000)}))

    assert verdict.outcome is outcome


@pytest.mark.parametrize(("wrong", "outcome"), [(10, Outcome.PASS), (200, Outcome.FAIL), (52, Outcome.UNDECIDED)])
def test_an_upper_bound_is_judged_the_other_way_round(wrong: int, outcome: Outcome) -> None:
    verdict = verdict_of(Rule(metric="exact_match", at_most=0.05), make_judged({"model": ones(wrong, 1000)}))

    assert verdict.outcome is outcome


def test_an_undecided_rule_says_how_many_cases_would_tell() -> None:
    (finding,) = verdict_of(Rule(metric="exact_match", at_least=0.5), make_judged({"model": ones(52, 100)})).findings

    assert 4000 < finding.needed < 6000
    assert f"about {finding.needed:,} would tell" in finding.text


def test_a_decided_rule_needs_no_more_cases_and_shows_its_interval() -> None:
    (finding,) = verdict_of(Rule(metric="exact_match", at_least=0.55), make_judged({"model": ones(200, 1000)})).findings

    assert finding.needed == 0
    assert finding.text == "exact_match 0.200 [0.176, 0.226] is below 0.55 (1,000 cases)"
    assert len(finding.cases) == 10
    assert finding.cases[0] == "r0200"


def test_each_baseline_must_be_beaten() -> None:
    judged = make_judged({"model": ones(700, 1000), "weak": ones(100, 1000), "strong": ones(690, 1000)})

    verdict = verdict_of(Rule(metric="exact_match", at_least="baselines"), judged)

    assert [finding.outcome for finding in verdict.findings] == [Outcome.PASS, Outcome.PASS]
    assert "beats weak (0.1): +0.600" in verdict.findings[0].text


def test_a_better_baseline_fails_the_model() -> None:
    judged = make_judged({"model": ones(300, 1000), "strong": ones(500, 1000)})

    (finding,) = verdict_of(Rule(metric="exact_match", at_least="strong"), judged).findings

    assert finding.outcome is Outcome.FAIL
    assert finding.cases[0] == "r0300"


def test_a_baseline_as_good_leaves_it_undecided() -> None:
    judged = make_judged({"model": ones(5, 10) * 20, "other": ones(5, 10)[::-1] * 20})

    (finding,) = verdict_of(Rule(metric="exact_match", at_least="other"), judged).findings

    assert finding.outcome is Outcome.UNDECIDED
    assert "too close" in finding.text


def test_a_margin_must_be_cleared_as_well() -> None:
    judged = make_judged({"model": ones(700, 1000), "weak": ones(680, 1000)})

    assert verdict_of(Rule(metric="exact_match", at_least="weak"), judged).outcome is Outcome.PASS
    assert verdict_of(Rule(metric="exact_match", at_least="weak", margin=0.1), judged).outcome is Outcome.FAIL


def test_a_rule_about_a_slice_looks_at_its_cases_alone() -> None:
    judged = make_judged({"model": ones(80, 100), "weak": ones(10, 100)}, slice="args>=2")

    (finding,) = verdict_of(Rule(metric="exact_match", at_least="weak", slice="args>=2"), judged).findings

    assert finding.text.startswith("exact_match on args>=2 beats weak")


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ((0.5, 0.5), Outcome.PASS),
        ((0.5, 0.9), Outcome.FAIL),
        ((0.5, 0.705), Outcome.UNDECIDED),
        ((0.9, 0.7), Outcome.FAIL),
    ],
)
def test_all_rules_must_hold(outcomes: tuple[float, float], verdict: Outcome) -> None:
    rules = tuple(Rule(metric="exact_match", at_least=bound) for bound in outcomes)

    assert judge(Gate(name="gate", rules=rules), make_judged({"model": ones(700, 1000)})).outcome is verdict


def test_a_few_graded_cases_decide_nothing() -> None:
    judged = make_judged({"model": [0.9, 0.91, 0.92], "weak": [0.1, 0.12, 0.11]})

    for rule in (Rule(metric="exact_match", at_least=0.5), Rule(metric="exact_match", at_least="weak")):
        (finding,) = verdict_of(rule, judged).findings
        assert (finding.outcome, finding.needed) == (Outcome.UNDECIDED, MINIMUM)


def test_one_right_answer_does_not_pass() -> None:
    verdict = verdict_of(Rule(metric="exact_match", at_least=0.55), make_judged({"model": [1.0]}))

    assert verdict.outcome is Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        (Rule(metric="exact_mach", at_least=0.5), "exact_match"),
        (Rule(metric="exact_match", at_least=0.5, slice="args>2"), "args>=2"),
        (Rule(metric="exact_match", at_least="nearst"), "nearest"),
    ],
)
def test_a_rule_about_what_was_not_evaluated_is_a_mistake_of_the_user(rule: Rule, hint: str) -> None:
    judged = make_judged({"model": ones(5, 10), "nearest": ones(1, 10)}, slice="args>=2")

    with pytest.raises(Invalid) as error:
        verdict_of(rule, judged)
    assert hint in error.value.hint


def test_the_verdict_names_exactly_what_it_is_about() -> None:
    gate = Gate(name="gate", rules=(Rule(metric="exact_match", at_least=0.5),))

    verdict = judge(gate, make_judged({"model": ones(9, 10)}))

    assert (verdict.gate, verdict.bundle, verdict.evaluation, verdict.dataset) == (gate.digest, "b", "e", "d")


BOUNDS = st.floats(-5, 5)


@given(BOUNDS, BOUNDS, BOUNDS, st.booleans(), st.booleans())
def test_an_interval_that_holds_the_threshold_never_decides(
    one: float, other: float, reference: float, above: bool, strict: bool
) -> None:
    interval = Interval(value=one, low=min(one, other), high=max(one, other))
    if interval.low < reference < interval.high:
        assert decide(interval, reference, above=above, strict=strict) is Outcome.UNDECIDED


@given(st.integers(1, 400), st.data(), st.floats(0.01, 0.99))
def test_a_gate_passes_only_when_the_interval_lies_beyond_the_threshold(
    n: int, data: st.DataObject, bound: float
) -> None:
    right = data.draw(st.integers(0, n))

    (finding,) = verdict_of(Rule(metric="exact_match", at_least=bound), make_judged({"model": ones(right, n)})).findings

    assert (finding.outcome is Outcome.PASS) == (finding.interval.low >= bound)
    assert (finding.outcome is Outcome.FAIL) == (finding.interval.high < bound)
    assert (finding.needed > n) == (finding.outcome is Outcome.UNDECIDED)


def test_a_model_at_the_threshold_passes_at_most_as_often_as_it_may() -> None:
    random = np.random.default_rng(12)
    passed = 0
    for right in random.binomial(300, 0.55, size=600):
        interval = wilson(int(right), 300)
        passed += decide(interval, 0.55) is Outcome.PASS

    assert passed / 600 <= 0.05
