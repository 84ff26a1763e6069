"""Plans by which a release grows from a shadow to all of the traffic, and where one stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from kedge.core.errors import Invalid
from kedge.core.release import Role

_DURATION: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_duration(text: str) -> float:
    """Seconds of `90s`, `10m`, `2h` or `1d`. `Invalid`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise Invalid(f"not a duration: {text!r}", hint='write "30s", "10m", "2h" or "1d"')
    return float(match["number"]) * _UNITS[match["unit"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep:
    """One step of a plan: the part of the traffic that the new bundle gets, and for how long at least.

    A canary answers its `share` of the callers; a shadow answers copies of a share of the requests, and nobody sees
    what it says. The step is over when `hold` has passed and `min_answers` of the new bundle are in.
    """

    role: Role = Role.CANARY
    share: float = 0.0  # 0 means all requests for a shadow, and is not allowed for a canary
    hold: str = "0s"
    min_answers: int = 0

    def __post_init__(self) -> None:
        if self.role is Role.STABLE:
            raise Invalid("a step is a shadow or a canary: what is stable comes after the last one")
        if not 0 <= self.share <= 1 or (self.role is Role.CANARY and self.share == 0):
            raise Invalid(
                f"the share of a {self.role} is not {self.share:g}", hint="write a part of 1, as share = 0.05"
            )
        if self.min_answers < 0:
            raise Invalid("min_answers is not negative")
        read_duration(self.hold)

    @property
    def part(self) -> float:
        """The share in force."""
        return self.share or 1.0

    @property
    def seconds(self) -> float:
        """How long the step is held at least."""
        return read_duration(self.hold)

    def __str__(self) -> str:
        return f"{self.role} {self.part:.0%}" if self.part >= 0.01 else f"{self.role} {self.part:.2%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """By how much the new bundle may be worse and still take over.

    `quality`, `feedback` and `errors` are differences of means and rates, `latency` and `cost` are relative: 0.2 lets it be
    20 % slower, or dearer.
    """

    quality: float = 0.05
    feedback: float = 0.1
    errors: float = 0.02
    latency: float = 0.2
    cost: float = 0.1

    def __post_init__(self) -> None:
        if not all(0 < getattr(self, name) < 1 for name in ("quality", "feedback", "errors", "latency", "cost")):
            raise Invalid("a margin lies between 0 and 1", hint="as in margins = { quality = 0.03 }")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """`[endpoints.NAME.rollout]`: the steps, and what is watched meanwhile.

    `quality` names scorers that judge live answers, as a gate's evaluation does; where `targets` names a dataset, a request whose input is one of
    its rows is judged against the row's target. `feedback` is the name under which callers say how good an answer was.
    `errors` watches how often the endpoint is at fault, `latency` a quantile of the time an answer takes (0: none), and
    `cost` what answers cost: money where traces have it, else tokens. The probability that a bundle no worse than the
    stable one is ever withdrawn is at most `alpha`, over all steps and all that is watched.
    After the last step's hold the bundle is promoted as soon as it is known not to be worse by more than the margins;
    while that is `undecided` for longer than `patience`, the controller waits, promotes or withdraws.
    """

    steps: tuple[RolloutStep, ...]
    quality: tuple[str | Mapping[str, Any], ...] = ()
    targets: str = ""
    feedback: str = ""
    errors: bool = True
    latency: float = 0.95
    cost: bool = False
    alpha: float = 0.05
    margins: Margins = field(default_factory=Margins)
    patience: str = "1d"
    undecided: Literal["wait", "promote", "withdraw"] = "wait"
    sticky: Literal["caller", "request"] = "caller"

    def __post_init__(self) -> None:
        if not self.steps:
            raise Invalid("a rollout has at least one step", hint="steps = [{ share = 0.05, hold = '10m' }]")
        shares = [step.part for step in self.steps if step.role is Role.CANARY]
        if shares != sorted(shares):
            raise Invalid("the shares of a rollout do not shrink from step to step")
        if not 0 < self.alpha < 0.5:
            raise Invalid(f"alpha is not {self.alpha:g}", hint="alpha = 0.05")
        if not 0 <= self.latency < 1:
            raise Invalid("latency is a quantile below 1", hint="latency = 0.95, or 0 to leave it out")
        if not (self.quality or self.feedback or self.errors or self.latency or self.cost):
            raise Invalid("a rollout that watches nothing decides nothing", hint='as quality = ["valid_json"]')
        read_duration(self.patience)


class Standing(StrEnum):
    """What is known of one measure: the new bundle is worse, it is not worse by more than the margin, or neither yet."""

    WORSE = "worse"
    FINE = "fine"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measure at one moment: what it is of either bundle, over how many answers, and the evidence.

    `p_worse` is the anytime-valid p-value of "no worse", `p_fine` that of "worse by the margin or more". `low` and `high`
    bound the difference, new minus old, where one is computed. `traces` are answers that speak against the new bundle.
    """

    measure: str
    standing: Standing
    old: float
    new: float
    old_answers: int
    new_answers: int
    p_worse: float
    p_fine: float
    margin: float
    unit: str = ""  # as ms; a share or a grade has none
    low: float | None = None
    high: float | None = None
    traces: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In words a person can check."""
        if not (self.old_answers and self.new_answers):
            return f"{self.measure}: nothing to compare yet"
        seen = f"{self._say(self.new)} of {self.new_answers:,} answers, {self._say(self.old)} of {self.old_answers:,} before"
        between = ""
        if self.low is not None and self.high is not None:
            between = f", difference {self._say(self.low, sign='+')} to {self._say(self.high, sign='+')}"
        return f"{self.measure}: {seen}{between}; p(no worse) {self.p_worse:.2g}, p(too bad) {self.p_fine:.2g}"

    def _say(self, value: float, sign: str = "") -> str:
        return f"{value:{sign}.4g} {self.unit}" if self.unit else f"{value:{sign}.1%}"


class RolloutState(StrEnum):
    """Where a rollout is: under way, held, or ended in one of three ways."""

    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    WITHDRAWN = "withdrawn"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A bundle on its way to an endpoint. `before` is the stable version that it is compared with and would replace.

    `traces` and `voices` are the last trace and the last feedback that were there when its shadow, or its canary, began:
    what decides came later. `limits` has the usual `cost` of the stable bundle's answers, where enough were on record.
    """

    id: str
    endpoint: str
    model: str
    alias: str
    version: int
    bundle: str
    before: int
    before_bundle: str
    plan: RolloutPlan
    started: datetime
    by: str
    step_at: datetime
    step: int = 0
    state: RolloutState = RolloutState.RUNNING
    traces: int = 0
    voices: int = 0
    limits: Mapping[str, float] = field(default_factory=dict)
    override: str = ""
    ended: datetime | None = None
    reason: str = ""

    @property
    def address(self) -> str:
        """`schemas@7`: what is on its way."""
        return f"{self.model}@{self.version}"

    @property
    def here(self) -> RolloutStep:
        """The step that it is at."""
        return self.plan.steps[self.step]

    @property
    def is_last(self) -> bool:
        """Whether the next step is all of the traffic."""
        return self.step == len(self.plan.steps) - 1

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.state in (RolloutState.RUNNING, RolloutState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutEvent:
    """One entry of a rollout's append-only history, with what was known when it happened."""

    rollout: str
    at: datetime
    by: str
    action: str  # started | advanced | paused | resumed | promoted | withdrawn | aborted
    step: int
    reason: str = ""
    readings: tuple[Reading, ...] = ()
