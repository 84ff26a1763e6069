"""Two bundles compared on live answers: what counts, what does not, and how often it is wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kedge.core.release import Role
from kedge.core.rollout import Reading, Rollout, RolloutPlan, RolloutStep, Standing
from kedge.core.trace import Feedback, Trace, new_trace_id
from kedge.monitor.compare import Comparison, Judge, each
from kedge.monitor.price import price

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
START = datetime(2026, 3, 3, tzinfo=UTC)
STEP = RolloutStep(share=0.5, hold="1h")


def make_rollout(**plan: Any) -> Rollout:
    limits, step_at = plan.pop("limits", {}), plan.pop("step_at", datetime(1970, 1, 1, tzinfo=UTC))
    return Rollout(
        id="r",
        endpoint="api",
        model="m",
        alias="production",
        version=2,
        bundle=NEW,
        before=1,
        before_bundle=OLD,
        plan=RolloutPlan(**{"steps": (STEP,), "latency": 0.0, **plan}),
        started=START,
        by="user:ada",
        step_at=step_at,
        limits=limits,
    )


def make_trace(role: str, **changes: Any) -> Trace:
    trace = Trace(
        id="0" * 32,
        at=1.0,
        endpoint="api",
        bundle=OLD if role == "stable" else NEW,
        key="key",
        route="/v1/completions",
        status=200,
        answer="right",
        role=role,
        latency_ms=20.0,
        prompt_tokens=4,
        completion_tokens=6,
    )
    return replace(trace, **changes)


def is_right(trace: Trace) -> float:
    return float(trace.answer == "right")


def read(comparison: Comparison, measure: str) -> Reading:
    return next(reading for reading in comparison.readings() if reading.measure == measure)


def test_only_answers_that_the_engines_of_both_bundles_gave_count() -> None:
    comparison = Comparison(make_rollout(), {})
    for role, changes in (
        ("stable", {}),
        ("canary", {}),
        ("canary", {"bundle": OLD}),
        ("shadow", {}),
        ("replay", {}),
        ("fallback", {}),
        ("canary", {"cache": "exact"}),
        ("canary", {"status": 429}),
        ("canary", {"status": 499}),
    ):
        comparison.take(make_trace(role, **changes))
    assert comparison.answers == 1
    assert read(comparison, "errors").new_answers == 0  # a block waits for two of either


def test_a_limit_that_is_not_watched_does_no_harm() -> None:
    comparison = Comparison(make_rollout(limits={"cost": 3.0}), {})
    comparison.take(make_trace("canary"))
    assert [reading.measure for reading in comparison.readings()] == ["errors"]


def test_what_is_not_answered_has_no_quality() -> None:
    comparison = Comparison(make_rollout(quality=("exact_match",)), {"exact_match": each(is_right)})
    for _ in range(40):
        comparison.take(make_trace("stable"))
        comparison.take(make_trace("canary", status=500, answer="", error="no"))
    assert read(comparison, "exact_match").new_answers == 0
    assert read(comparison, "errors").standing is Standing.WORSE


def test_a_judge_without_a_word_says_nothing() -> None:
    comparison = Comparison(make_rollout(quality=("judge",)), {"judge": each(lambda trace: None)})
    for _ in range(10):
        comparison.take(make_trace("stable"))
        comparison.take(make_trace("canary"))
    assert read(comparison, "judge").text == "judge: nothing to compare yet"


def test_a_costly_judge_is_asked_about_as_many_answers_of_either_bundle() -> None:
    asked: list[Trace] = []

    def ask(traces: Sequence[Trace]) -> list[float | None]:
        asked.extend(traces)
        return [1.0] * len(traces)

    draw = random.Random(5)
    roles = ["canary" if draw.random() < 0.1 else "stable" for _ in range(2000)]
    traces = [make_trace(role, id=new_trace_id(draw)) for role in roles]
    rollout = make_rollout(steps=(RolloutStep(share=0.1),), quality=("judge",), errors=False)
    comparison = Comparison(rollout, {"judge": Judge(score=ask, costly=True)})
    comparison.take(*traces)
    assert [trace for trace in asked if trace.role == "canary"] == [t for t in traces if t.role == "canary"]
    assert sum(trace.role == "stable" for trace in asked) == pytest.approx(roles.count("canary"), rel=0.3)
    assert read(comparison, "judge").new_answers >= roles.count("canary") - 64


def test_the_usual_cost_is_learned_from_the_stable_bundle_where_it_is_not_known() -> None:
    rollout = make_rollout(errors=False, cost=True)
    comparison = Comparison(rollout, {})
    for _ in range(49):
        comparison.take(make_trace("stable"))
        comparison.take(make_trace("canary", completion_tokens=60))
    assert read(comparison, "cost").old_answers == 0
    for _ in range(80):
        comparison.take(make_trace("stable"))
        comparison.take(make_trace("canary", completion_tokens=60))
    assert read(comparison, "cost").standing is Standing.WORSE
    assert read(comparison, "cost").traces != ()


def test_a_price_is_the_money_on_record_or_else_the_tokens() -> None:
    assert price(make_trace("stable")) == 10
    assert price(make_trace("stable", detail='{"cost": 0.25, "address": "m@1"}')) == 0.25
    assert price(make_trace("stable", detail='{"cost": null}')) == 10


def test_latency_is_compared_by_its_quantile() -> None:
    rollout = make_rollout(errors=False, latency=0.5)
    same, slow = Comparison(rollout, {}), Comparison(rollout, {})
    draw = random.Random(1)
    for _ in range(400):
        usual = draw.uniform(10, 30)
        for comparison, factor in ((same, 1.0), (slow, 2.0)):
            comparison.take(make_trace("stable", latency_ms=draw.uniform(10, 30)))
            comparison.take(make_trace("canary", latency_ms=usual * factor))
    assert read(same, "latency").standing is not Standing.WORSE
    assert read(slow, "latency").standing is Standing.WORSE
    assert "ms" in read(slow, "latency").text


def test_a_shadow_is_not_judged_by_its_speed_or_by_callers() -> None:
    step = RolloutStep(role=Role.SHADOW)
    comparison = Comparison(make_rollout(steps=(step,), latency=0.95, feedback="rating"), {})
    assert [reading.measure for reading in comparison.readings()] == ["errors"]


def test_feedback_counts_once_an_answer_and_under_its_name() -> None:
    comparison = Comparison(make_rollout(feedback="thumb"), {})

    def say(trace: str, bundle: str, value: float, name: str = "thumb") -> None:
        comparison.hear(Feedback(trace=trace, name=name, value=value, at=1.0, by="k", bundle=bundle))

    for i in range(30):
        say(f"old {i}", OLD, 1.0)
        say(f"new {i}", NEW, 0.0)
        say(f"new {i}", NEW, 1.0)
        say(f"new {i} again", NEW, 1.0, name="other")
        say(f"else {i}", "sha256:" + "c" * 64, 0.0)
    reading = read(comparison, "feedback")
    assert (reading.old_answers, reading.new_answers, reading.new) == (30, 30, 0.0)
    assert reading.standing is Standing.WORSE


def test_the_evidence_stays_while_the_share_grows_and_the_step_counts_anew() -> None:
    steps = (RolloutStep(share=0.1), RolloutStep(share=0.5))
    first = make_rollout(steps=steps, latency=0.5, step_at=START)
    going = Comparison(first, {})
    then = START.timestamp()
    before = [make_trace(role, at=then + i) for i in range(20) for role in ("stable", "canary")]
    after = [make_trace(role, at=then + 100 + i) for i in range(10) for role in ("stable", "canary")]
    for trace in before:
        going.take(trace)
    second = replace(first, step=1, step_at=START + timedelta(seconds=100))
    going.carry_on(second)
    again = Comparison(second, {})
    for trace in after:
        going.take(trace)
    for trace in (*before, *after):
        again.take(trace)
    assert (going.answers, again.answers) == (10, 10)
    assert going.readings() == again.readings()
    assert (read(going, "errors").new_answers, read(going, "latency").new_answers) == (30, 10)


def play(seed: int, *, effect: float, answers: int) -> tuple[bool, int]:
    """One run with a look after every answer: whether the canary is found worse, and how many bad ones it gave."""
    draw = random.Random(seed)
    comparison = Comparison(make_rollout(quality=("exact_match",), errors=False), {"exact_match": each(is_right)})
    bad = 0
    for _ in range(answers):
        role = "canary" if draw.random() < 0.5 else "stable"
        right = draw.random() < (0.9 - effect if role == "canary" else 0.9)
        comparison.take(make_trace(role, answer="right" if right else "wrong"))
        bad += role == "canary" and not right
        if role == "canary" and comparison.readings()[0].standing is Standing.WORSE:
            return True, bad
    return False, bad


def test_a_canary_that_is_no_worse_is_hardly_ever_called_worse() -> None:
    called = [play(seed, effect=0.0, answers=400)[0] for seed in range(40)]
    assert sum(called) <= 4  # 2 expected at most, and the seeds are fixed


@pytest.mark.parametrize(("effect", "bad"), [(0.2, 60), (0.4, 30)])
def test_a_canary_that_is_worse_is_found_out_after_few_bad_answers(effect: float, bad: int) -> None:
    found = [play(seed, effect=effect, answers=2000) for seed in range(15)]
    assert all(worse for worse, _ in found)
    assert sorted(count for _, count in found)[7] <= bad
