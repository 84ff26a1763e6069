"""Compares two bundles on live traffic, answer by answer: what is known of each measure at any moment.

The evidence holds however often one looks and however the shares change (`statistics.sequential`): alpha is divided
among the measures, and between shadow and canary, so that a bundle that is no worse is withdrawn with probability alpha
at most. Quantiles of latency, which may drift with the hour, are compared anew in each step, each with its part of
alpha. That it is fine needs every measure to say so, which costs no division.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kedge.core.release import Role
from kedge.core.rollout import Reading, Rollout, Standing
from kedge.core.trace import Feedback, Trace
from kedge.monitor.price import price
from kedge.statistics.quantiles import QuantileRatio
from kedge.statistics.sequential import Difference

KEPT = 5  # traces that are named as speaking against the new bundle
LEARNED = 50  # answers of the stable bundle that its usual cost is taken from, where none was known before
CUT = 4.0  # what costs more than this many times the usual counts as that

FEEDBACK = "feedback"
ERRORS = "errors"
LATENCY = "latency"
COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Scores answers from 0 (bad) to 1 (good), or says nothing (None). A `costly` one is asked about as many answers of
    the stable bundle as of the new one, not about all."""

    score: Callable[[Sequence[Trace]], Sequence[float | None]]
    costly: bool = False


def each(score: Callable[[Trace], float | None]) -> Judge:
    """A judge that looks at one answer at a time."""
    return Judge(score=lambda traces: [score(trace) for trace in traces])


@dataclass(slots=True, kw_only=True)
class Measure:
    """One measure of both bundles; `unit` is that of its values, `margin` as the plan has it, and `alpha` its part."""

    name: str
    margin: float
    alpha: float
    unit: str = ""
    difference: Difference | None = None
    ratio: QuantileRatio | None = None
    against: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))

    def take(self, arm: Role, value: float, trace: str, *, bad: bool) -> None:
        """The value of one answer; `bad` if it speaks against its bundle."""
        if bad and arm is Role.CANARY:
            self.against.append(trace)
        watched = self.difference or self.ratio
        if watched is not None:
            watched.update(arm, value)

    def read(self, alpha: float) -> Reading:
        """What is known now: worse at its own part of alpha, fine at the whole of it."""
        if self.ratio is not None:
            found = self.ratio.evidence
            old, new, low, high = found.quantile_stable.value, found.quantile_canary.value, None, None
            numbers = (found.stable, found.canary, found.p_worse, found.p_fine)
        elif self.difference is not None:
            seen = self.difference.evidence
            old, new, low, high = seen.mean_stable, seen.mean_canary, seen.difference.low, seen.difference.high
            numbers = (seen.stable, seen.canary, seen.p_worse, seen.p_fine)
        else:
            old, new, low, high, numbers = 0.0, 0.0, None, None, (0, 0, 1.0, 1.0)
        old_answers, new_answers, p_worse, p_fine = numbers
        known = old_answers > 0 and new_answers > 0
        return Reading(
            measure=self.name,
            standing=_standing(p_worse, p_fine, alpha=alpha, each=self.alpha),
            old=old if known else 0.0,
            new=new if known else 0.0,
            old_answers=old_answers,
            new_answers=new_answers,
            p_worse=p_worse,
            p_fine=p_fine,
            margin=self.margin,
            unit=self.unit,
            low=low,
            high=high,
            traces=tuple(self.against),
        )


def _standing(p_worse: float, p_fine: float, *, alpha: float, each: float) -> Standing:
    if p_worse <= each:
        return Standing.WORSE
    return Standing.FINE if p_fine <= alpha else Standing.UNDECIDED


class Comparison:
    """What the answers of a rollout say, from its first shadow or its first canary on. Taken in the same order, they say
    the same again.

    `answers` counts those of the new bundle in this step. `judges` score answers under the names of quality measures.
    """

    def __init__(self, rollout: Rollout, judges: Mapping[str, Judge]) -> None:
        self.answers = 0
        self._rollout = rollout
        self._judges = judges
        self._new_role = rollout.here.role
        self._heard: set[str] = set()
        self._costs: list[float] = []
        self._usual = rollout.limits.get(COST, 0.0)
        self._measures = {measure.name: measure for measure in _measures(rollout, judges)}
        if self._usual and COST in self._measures:
            self._price(self._usual)

    def carry_on(self, rollout: Rollout) -> None:
        """The same bundle with another share: the evidence stays, and the step's own counts begin anew."""
        self._rollout = rollout
        self.answers = 0
        if LATENCY in self._measures:
            self._measures[LATENCY] = _latency(rollout, len(self._measures))

    def take(self, *traces: Trace) -> None:
        """Answers, in their order. What no engine gave, or was the caller's fault, says nothing of a bundle."""
        counted = [(trace, arm) for trace in traces if (arm := self._arm(trace)) is not None]
        scores = {name: self._judge(judge, counted) for name, judge in self._judges.items()}
        for trace, arm in counted:
            self._take(trace, arm, {name: said.get(trace.id) for name, said in scores.items()})

    def _judge(self, judge: Judge, counted: Sequence[tuple[Trace, Role]]) -> dict[str, float | None]:
        """The scores of what was answered, by trace."""
        asked = [trace for trace, arm in counted if trace.status == 200 and self._is_asked(judge, trace, arm)]
        return dict(zip((trace.id for trace in asked), judge.score(asked), strict=True)) if asked else {}

    def _is_asked(self, judge: Judge, trace: Trace, arm: Role) -> bool:
        if not judge.costly or arm is Role.CANARY or self._new_role is Role.SHADOW:
            return True
        part = self._rollout.here.part
        drawn = int(trace.id[-8:], 16) / 16**8  # the end of a name is drawn, its beginning is the time
        return drawn * (1 - part) < part

    def _take(self, trace: Trace, arm: Role, scores: Mapping[str, float | None]) -> None:
        failed = trace.status >= 500
        now = trace.at >= self._rollout.step_at.timestamp()
        self.answers += now and arm is Role.CANARY
        self._note(ERRORS, arm, float(failed), trace, bad=failed)
        if failed:
            return
        if now:
            self._note(LATENCY, arm, trace.latency_ms, trace, bad=False)
        self._spend(arm, trace)
        for name, score in scores.items():
            if score is not None:
                self._note(name, arm, score, trace, bad=score < 0.5)

    def hear(self, said: Feedback) -> None:
        """What was said of one answer; the first word counts."""
        plan = self._rollout.plan
        if said.name != plan.feedback or said.trace in self._heard:
            return
        arms = {self._rollout.bundle: Role.CANARY, self._rollout.before_bundle: Role.STABLE}
        arm = arms.get(said.bundle)
        measure = self._measures.get(FEEDBACK)
        if arm is not None and measure is not None:
            self._heard.add(said.trace)
            measure.take(arm, said.value, said.trace, bad=said.value < 0.5)

    def readings(self) -> tuple[Reading, ...]:
        """What is known of each measure now."""
        alpha = self._rollout.plan.alpha
        return tuple(measure.read(alpha) for measure in self._measures.values())

    def _arm(self, trace: Trace) -> Role | None:
        if trace.cache or not (trace.status == 200 or trace.status >= 500):
            return None
        if trace.role == Role.STABLE and trace.bundle == self._rollout.before_bundle:
            return Role.STABLE
        return Role.CANARY if trace.role == self._new_role and trace.bundle == self._rollout.bundle else None

    def _note(self, name: str, arm: Role, value: float, trace: Trace, *, bad: bool) -> None:
        measure = self._measures.get(name)
        if measure is not None:
            measure.take(arm, value, trace.id, bad=bad)

    def _spend(self, arm: Role, trace: Trace) -> None:
        """What the answer cost; the stable bundle's first answers say what is usual, where that is not known."""
        if COST not in self._measures:
            return
        cost = price(trace)
        if self._usual:
            self._note(COST, arm, cost, trace, bad=cost > 2 * self._usual)
        elif arm is Role.STABLE:
            self._costs.append(cost)
            if len(self._costs) == LEARNED:
                self._price(max(sum(self._costs) / LEARNED, 1e-9))

    def _price(self, usual: float) -> None:
        self._usual = usual
        margin = self._rollout.plan.margins.cost * usual
        self._measures[COST].difference = Difference(
            high=CUT * usual, lower=True, margin=margin, alpha=self._rollout.plan.alpha
        )


def _measures(rollout: Rollout, judges: Mapping[str, Judge]) -> list[Measure]:
    plan, margins = rollout.plan, rollout.plan.margins
    canary = rollout.here.role is Role.CANARY  # a copy waits for nobody and on everybody, and nobody rates it
    rated, timed = bool(plan.feedback) and canary, bool(plan.latency) and canary
    many = len(judges) + rated + plan.errors + timed + plan.cost
    alpha = plan.alpha / (max(many, 1) * len({step.role for step in plan.steps}))

    def difference(name: str, margin: float, *, lower: bool = False) -> Measure:
        watched = Difference(lower=lower, margin=margin, alpha=plan.alpha)
        return Measure(name=name, margin=margin, alpha=alpha, difference=watched)

    measures = [difference(name, margins.quality) for name in judges]
    if rated:
        measures.append(difference(FEEDBACK, margins.feedback))
    if plan.errors:
        measures.append(difference(ERRORS, margins.errors, lower=True))
    if timed:
        measures.append(_latency(rollout, many))
    if plan.cost:
        measures.append(Measure(name=COST, margin=margins.cost, alpha=alpha, unit="a call"))
    return measures


def _latency(rollout: Rollout, measures: int) -> Measure:
    """Compared in this step alone, with its part of what all steps of its kind may spend."""
    plan = rollout.plan
    margin = plan.margins.latency
    same = sum(step.role is rollout.here.role for step in plan.steps)
    alpha = plan.alpha / (measures * len({step.role for step in plan.steps}) * same)
    ratio = QuantileRatio(quantile=plan.latency, ratio=1 + margin, alpha=plan.alpha)
    return Measure(name=LATENCY, margin=margin, alpha=alpha, unit="ms", ratio=ratio)
