"""Scores, intervals, rules, gates and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kedge.core.hashing import digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its two-sided confidence bounds (95 % unless said otherwise)."""

    value: float
    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One metric over one slice of the cases ("" = all) by one answerer ("model" or a baseline's name)."""

    metric: str
    interval: Interval
    n: int
    slice: str = ""
    answerer: str = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case's answer and scores. `row` is the id of the dataset row."""

    row: str
    answerer: str
    answer: str
    scores: Mapping[str, float]
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The config of an evaluation artifact (kind report); its layer `cases.jsonl` holds every CaseResult.

    `lower` names the metrics of which smaller is better. `subject` says what answered where that is no bundle: an address
    and a model. `detail` holds what scorers tell beside numbers, as a confusion matrix, by metric. An answerer named
    `model~typos` is the model with its inputs changed, and the metric `exact_match~typos` what that changes.
    """

    bundle: str
    dataset: str
    cases: int
    results: tuple[MetricResult, ...]
    scorers: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def find(self, metric: str, *, slice: str = "", answerer: str = "model") -> MetricResult | None:
        """The result of one metric over one slice by one answerer."""
        wanted = (metric, slice, answerer)
        return next((r for r in self.results if (r.metric, r.slice, r.answerer) == wanted), None)

    @property
    def baselines(self) -> tuple[str, ...]:
        """The names of the answerers the model is compared with, in order."""
        others = (result.answerer for result in self.results if result.answerer.partition("~")[0] != "model")
        return tuple(dict.fromkeys(others))

    def worst(self, metric: str, *, answerer: str = "model", least: int = 20) -> MetricResult | None:
        """The slice on which a metric is worst, among those with at least so many cases if there are any."""
        found = [r for r in self.results if r.slice and (r.metric, r.answerer) == (metric, answerer)]
        large = [result for result in found if result.n >= least] or found
        sign = -1.0 if metric in self.lower else 1.0
        return min(large, key=lambda result: (sign * result.interval.value, result.slice), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a gate. `at_least` is a number, `baselines` (each of them), one baseline's name, or another version of
    the model as `schemas@3` or `schemas@production`.

    With a number the rule holds when the metric's interval lies wholly at or above `at_least` or at or below `at_most`;
    with an answerer when the interval of the paired difference lies wholly above `margin`, which is negative where it is
    enough to be no worse. It is broken when the interval lies wholly on the other side; otherwise it is undecided.
    """

    metric: str
    at_least: float | str | None = None
    at_most: float | None = None
    margin: float = 0.0
    slice: str = ""

    @property
    def version(self) -> str:
        """The address of the version to be compared with ("" for none)."""
        return self.at_least if isinstance(self.at_least, str) and "@" in self.at_least else ""


class Evidence(StrEnum):
    """What a promotion may be made to require beside the passing verdict."""

    EVALUATION = "evaluation"
    CARD = "card"
    SIGNATURE = "signature"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The rules set ahead of a model, and the evidence that its promotion requires besides.

    `approvals` people other than the version's author must have approved it.
    """

    name: str
    rules: tuple[Rule, ...]
    requires: tuple[Evidence, ...] = ()
    approvals: int = 0

    @property
    def digest(self) -> str:
        """The digest of name and rules, under which the gate is stored before training starts."""
        rules = [
            {"metric": r.metric, "at_least": r.at_least, "at_most": r.at_most, "margin": r.margin, "slice": r.slice}
            for r in self.rules
        ]
        required: dict[str, Any] = {"requires": [str(each) for each in self.requires]} if self.requires else {}
        required |= {"approvals": self.approvals} if self.approvals else {}
        return digest_of({"name": self.name, "rules": rules, **required})

    @property
    def approvers(self) -> int:
        """How many people must approve."""
        return max(self.approvals, int(Evidence.APPROVAL in self.requires))


class Outcome(StrEnum):
    """What a verdict says. Undecided: more cases are needed to tell."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


def sum_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Fail if one fails, else undecided if one is, else pass."""
    for outcome in (Outcome.FAIL, Outcome.UNDECIDED):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's outcome with what decided it, in words a person can check. `cases` are deciding row ids.

    `needed` is the estimated number of cases that would decide an undecided rule (0 when decided).
    """

    rule: Rule
    outcome: Outcome
    interval: Interval
    reference: float
    text: str
    needed: int = 0
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A gate's outcome about exactly one bundle on exactly one evaluation."""

    gate: str  # the gate's digest
    bundle: str
    evaluation: str
    dataset: str
    outcome: Outcome
    findings: tuple[Finding, ...]
    signature: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
