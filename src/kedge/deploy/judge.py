"""Decides what becomes of a rollout at one moment: held, carried on, promoted or withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kedge.core.rollout import Reading, Rollout, RolloutState, Standing, read_duration


class Action(StrEnum):
    """What is to be done with a rollout."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, and why."""

    action: Action
    reason: str


def judge(rollout: Rollout, readings: Sequence[Reading], *, answers: int, now: datetime) -> Decision:
    """The decision from what is known of each measure and how many `answers` of the new bundle this step has seen."""
    if rollout.state is not RolloutState.RUNNING:
        return Decision(action=Action.HOLD, reason=f"it is {rollout.state}")
    worse = [reading for reading in readings if reading.standing is Standing.WORSE]
    if worse:
        return Decision(action=Action.WITHDRAW, reason="worse: " + "; ".join(reading.text for reading in worse))
    step = rollout.here
    waited = (now - rollout.step_at).total_seconds()
    late = waited >= step.seconds + read_duration(rollout.plan.patience)
    if waited < step.seconds:
        return Decision(action=Action.HOLD, reason=f"{step} is held for {step.seconds - waited:.0f} s more")
    if answers < step.min_answers:
        return _wait(rollout, f"{answers} of {step.min_answers} answers at {step}", late=late, promotes=False)
    if not rollout.is_last:
        return Decision(action=Action.ADVANCE, reason=f"nothing is known against it after {answers} answers at {step}")
    unsure = [reading.measure for reading in readings if reading.standing is not Standing.FINE]
    if unsure:
        return _wait(rollout, f"undecided after {answers} answers: {', '.join(unsure)}", late=late, promotes=True)
    return Decision(
        action=Action.PROMOTE, reason="not worse by more than the margins: " + "; ".join(r.text for r in readings)
    )


def _wait(rollout: Rollout, reason: str, *, late: bool, promotes: bool) -> Decision:
    """Wait, or do what the plan says when it has waited long enough; without its answers nothing is promoted."""
    if not late or rollout.plan.undecided == "wait":
        return Decision(action=Action.HOLD, reason=reason)
    waited = f"{reason}, and the patience of {rollout.plan.patience} is over"
    if rollout.plan.undecided == "promote" and promotes:
        return Decision(action=Action.PROMOTE, reason=waited)
    return Decision(action=Action.WITHDRAW, reason=waited)
