"""Asks whether B is better than A on the same cases, by a paired test and an interval.

Several metrics are several chances to be wrong: their p-values are corrected by Holm's method (1979, Scandinavian Journal
of Statistics 6), so that the chance of any false claim among them stays below alpha.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval, Outcome, sum_up
from kedge.evaluate.needed import cases_to_see, more_pairs, spread_of
from kedge.statistics.differences import difference_interval, discordance, is_binary, span
from kedge.statistics.intervals import Floats
from kedge.statistics.paired import PairedTest, holm, paired_test
from kedge.statistics.power import smallest_difference

SEEN = 0.03  # of the range of a score: the difference whose cost in cases is told unless another is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Is B better than A by more than `margin`, at significance `alpha`? A negative margin asks whether B is no worse
    than that. `lower`: smaller scores are better. `see`: the difference to tell the cost of, in cases (0: 3 % of the
    scores' range)."""

    metric: str = ""
    margin: float = 0.0
    alpha: float = 0.05
    lower: bool = False
    see: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 0.5:
            raise Invalid(f"alpha must lie between 0 and 0.5, not {self.alpha}", hint="the usual one is 0.05")
        if self.see < 0.0:
            raise Invalid(f"the difference to see must be positive, not {self.see}", hint="as 0.03 for 3 points")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer. `difference` is the mean of B minus that of A with its 95 % `interval`; `p` is two-sided.

    `needed` is the estimated number of pairs that would decide (0 when decided); `visible` the smallest difference that
    as many pairs as there are can show (0 where it cannot be said); `see_needed` the pairs that would show `see`;
    `only_a` and `only_b` count unpaired cases. A decision needs `p_holm`, which is p corrected for the metrics compared
    together, and `guard`, which allows for rare cases not seen, to be at most alpha.
    """

    verdict: Outcome
    difference: float
    interval: tuple[float, float]
    p: float
    n: int
    needed: int
    metric: str
    mean_a: float
    mean_b: float
    test: str
    margin: float
    alpha: float
    lower: bool = False
    p_holm: float = 1.0
    guard: float = 0.0
    visible: float = 0.0
    see: float = 0.0
    see_needed: int = 0
    only_a: int = 0
    only_b: int = 0
    groups: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The scores of both on the cases that both have, and each case's group where cases share groups."""

    question: Question
    first: Floats
    second: Floats
    members: Sequence[str] | None = None
    only_a: int = 0
    only_b: int = 0

    @property
    def margin(self) -> float:
        """The difference, B minus A, that parts better from not."""
        return -self.question.margin if self.question.lower else self.question.margin


def compare(
    a: Mapping[str, float], b: Mapping[str, float], question: Question, *, groups: Mapping[str, str] | None = None
) -> Comparison:
    """Compare two answerers by their scores a case. `groups` names the cluster of each case. `Invalid` without a case
    that both have."""
    return answer([pair(a, b, question, groups=groups)])[0]


def pair(
    a: Mapping[str, float], b: Mapping[str, float], question: Question, *, groups: Mapping[str, str] | None = None
) -> Pairs:
    """The cases that both have, by id. `Invalid` if there is none."""
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise Invalid("A and B have no case in common", hint="they are paired by id: check that both use the same ids")
    return Pairs(
        question=question,
        first=np.array([a[case] for case in shared], dtype=np.float64),
        second=np.array([b[case] for case in shared], dtype=np.float64),
        members=_members(shared, groups),
        only_a=len(a) - len(shared),
        only_b=len(b) - len(shared),
    )


def answer(asked: Sequence[Pairs]) -> list[Comparison]:
    """The answer to each question, all corrected for being asked together."""
    tests = [paired_test(pairs.first, pairs.second, difference=pairs.margin, groups=pairs.members) for pairs in asked]
    corrected = holm([test.p for test in tests])
    return [_answer(pairs, test, p) for pairs, test, p in zip(asked, tests, corrected, strict=True)]


def overall(answers: Sequence[Comparison]) -> Outcome:
    """Fail if one metric fails, else undecided if one is, else pass."""
    return sum_up([each.verdict for each in answers])


def _answer(pairs: Pairs, test: PairedTest, p_holm: float) -> Comparison:
    question, first, second, members = pairs.question, pairs.first, pairs.second, pairs.members
    interval = difference_interval(first, second, groups=members)
    deciding = interval
    if question.alpha != 0.05:
        deciding = difference_interval(first, second, groups=members, level=1 - question.alpha)
    if question.lower:
        deciding = replace(deciding, value=-deciding.value, low=-deciding.high, high=-deciding.low)
    verdict = _decide(deciding, question, max(p_holm, test.guard))
    low, high = span(first, second)
    see = question.see or SEEN * (high - low)
    spread = spread_of(first, second)
    grouped = members is not None
    return Comparison(
        verdict=verdict,
        difference=interval.value,
        interval=(interval.low, interval.high),
        p=test.p,
        n=len(first),
        needed=more_pairs(first, second, deciding, question.margin, grouped=grouped)
        if verdict is Outcome.UNDECIDED
        else 0,
        metric=question.metric,
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        test=test.name,
        margin=question.margin,
        alpha=question.alpha,
        lower=question.lower,
        p_holm=p_holm,
        guard=test.guard,
        visible=0.0 if grouped else _visible(first, second, question.alpha),
        see=see,
        see_needed=0 if grouped else cases_to_see(see, spread, alpha=question.alpha),
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        groups=len(set(members)) if members else 0,
    )


def _members(ids: Sequence[str], groups: Mapping[str, str] | None) -> list[str] | None:
    """The group of each case; a case without one is alone. None when no two cases share a group."""
    if not groups:
        return None
    members = [f"group {groups[case]}" if case in groups else f"case {case}" for case in ids]
    return members if len(set(members)) < len(members) else None


def _decide(interval: Interval, question: Question, p: float) -> Outcome:
    """By test and interval together, so that what is said never depends on which of the two one looks at."""
    if p <= question.alpha and interval.low > question.margin:
        return Outcome.PASS
    if p <= question.alpha and interval.high < question.margin:
        return Outcome.FAIL
    return Outcome.UNDECIDED


def _visible(first: Floats, second: Floats, alpha: float) -> float:
    """The smallest difference that so many pairs can show, at the discordance seen."""
    if not (is_binary(first) and is_binary(second)):
        return 0.0
    pairs = discordance(first, second)
    return smallest_difference(pairs.n, pairs.share, level=1 - alpha) if pairs.share else 0.0
