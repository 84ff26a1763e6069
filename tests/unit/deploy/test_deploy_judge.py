"""What becomes of a rollout at one moment, and the plan that says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kedge.core.errors import Invalid
from kedge.core.release import Role
from kedge.core.rollout import (
    Margins,
    Reading,
    Rollout,
    RolloutPlan,
    RolloutState,
    RolloutStep,
    Standing,
    read_duration,
)
from kedge.deploy.judge import Action, Decision, judge

START = datetime(2026, 3, 3, tzinfo=UTC)
PLAN = RolloutPlan(
    steps=(RolloutStep(share=0.05, hold="10m", min_answers=100), RolloutStep(share=0.5, hold="1h")), patience="2h"
)


def make_rollout(**changes: Any) -> Rollout:
    rollout = Rollout(
        id="r",
        endpoint="api",
        model="m",
        alias="production",
        version=2,
        bundle="b",
        before=1,
        before_bundle="a",
        plan=PLAN,
        started=START,
        by="user:ada",
        step_at=START,
    )
    return replace(rollout, **changes)


def make_reading(standing: Standing, measure: str = "errors") -> Reading:
    return Reading(
        measure=measure,
        standing=standing,
        old=0.1,
        new=0.3,
        old_answers=90,
        new_answers=30,
        p_worse=0.01,
        p_fine=1.0,
        margin=0.02,
        low=0.05,
        high=0.4,
    )


FINE, WORSE, UNDECIDED = (make_reading(standing) for standing in (Standing.FINE, Standing.WORSE, Standing.UNDECIDED))


def decide(rollout: Rollout, *readings: Reading, answers: int = 1000, after: float = 0.0) -> Decision:
    return judge(rollout, readings, answers=answers, now=START + timedelta(seconds=after))


def test_a_step_is_held_for_its_time_and_its_answers() -> None:
    assert decide(make_rollout(), FINE, after=599).action is Action.HOLD
    assert decide(make_rollout(), FINE, after=600).action is Action.ADVANCE
    waiting = decide(make_rollout(), FINE, after=600, answers=99)
    assert (waiting.action, waiting.reason) == (Action.HOLD, "99 of 100 answers at canary 5%")


def test_what_is_undecided_may_take_the_next_step_but_not_the_last() -> None:
    assert decide(make_rollout(), UNDECIDED, after=600).action is Action.ADVANCE
    last = make_rollout(step=1)
    assert decide(last, UNDECIDED, FINE, after=3600).action is Action.HOLD
    assert "errors" in decide(last, UNDECIDED, FINE, after=3600).reason
    assert decide(last, FINE, FINE, after=3599).action is Action.HOLD
    assert decide(last, FINE, FINE, after=3600).action is Action.PROMOTE


def test_what_is_worse_is_withdrawn_at_once_and_the_reason_has_the_numbers() -> None:
    decision = decide(make_rollout(), FINE, WORSE)
    assert decision.action is Action.WITHDRAW
    assert "errors: 30.0% of 30 answers, 10.0% of 90 before, difference +5.0% to +40.0%" in decision.reason


@pytest.mark.parametrize("state", [state for state in RolloutState if state is not RolloutState.RUNNING])
def test_nothing_is_decided_while_it_is_not_running(state: RolloutState) -> None:
    assert decide(make_rollout(state=state), WORSE, after=1e6).action is Action.HOLD


@pytest.mark.parametrize(
    ("undecided", "answers", "action"),
    [
        ("wait", 1000, Action.HOLD),
        ("promote", 1000, Action.PROMOTE),
        ("promote", 10, Action.WITHDRAW),
        ("withdraw", 1000, Action.WITHDRAW),
        ("withdraw", 0, Action.WITHDRAW),
    ],
)
def test_when_patience_is_over_the_plan_says_what_happens(undecided: Any, answers: int, action: Action) -> None:
    step = RolloutStep(share=0.5, hold="1h", min_answers=100)
    rollout = make_rollout(plan=replace(PLAN, steps=(step,), undecided=undecided))
    assert decide(rollout, UNDECIDED, answers=answers, after=3 * 3600 - 1).action is Action.HOLD
    assert decide(rollout, UNDECIDED, answers=answers, after=3 * 3600).action is action


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("2d", 172_800), ("5 ms", 0.005)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert read_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "ten minutes", "-5m", "5w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a duration"):
        read_duration(text)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (RolloutStep, "share of a canary"),
        (lambda: RolloutStep(share=1.2), "share of a canary"),
        (lambda: RolloutStep(role=Role.STABLE, share=0.5), "a shadow or a canary"),
        (lambda: RolloutStep(share=0.5, hold="soon"), "not a duration"),
        (lambda: RolloutStep(share=0.5, min_answers=-1), "not negative"),
        (lambda: RolloutPlan(steps=()), "at least one step"),
        (lambda: RolloutPlan(steps=(RolloutStep(share=0.5), RolloutStep(share=0.1))), "do not shrink"),
        (lambda: replace(PLAN, alpha=0.7), "alpha"),
        (lambda: replace(PLAN, latency=1.0), "quantile"),
        (lambda: replace(PLAN, errors=False, latency=0.0), "watches nothing"),
        (lambda: Margins(quality=0.0), "margin"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(make: Any, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        make()


def test_a_shadow_gets_copies_of_everything_unless_it_is_given_a_share() -> None:
    assert RolloutStep(role=Role.SHADOW).part == 1.0
    assert RolloutStep(role=Role.SHADOW, share=0.2).part == 0.2
    assert str(RolloutStep(share=0.005)) == "canary 0.50%"
