"""Asks whether B is better than A on the same cases, by a paired test and an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval, Outcome
from kedge.evaluate.needed import more_pairs
from kedge.statistics.paired import difference_interval, discordance, is_binary, mcnemar, score_test, sign_flips
from kedge.statistics.power import smallest_difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Is B better than A by more than `margin`, at significance `alpha`? A negative margin asks whether B is no worse
    than that. `lower`: smaller scores are better."""

    metric: str = ""
    margin: float = 0.0
    alpha: float = 0.05
    lower: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 0.5:
            raise Invalid(f"alpha must lie between 0 and 0.5, not {self.alpha}", hint="the usual one is 0.05")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer. `difference` is the mean of B minus that of A with its 95 % `interval`; `p` is two-sided.

    `needed` is the estimated number of pairs that would decide (0 when decided); `visible` the smallest difference that
    as many pairs as there are can show (0 where it cannot be said); `only_a` and `only_b` count unpaired cases.
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
    visible: float = 0.0
    only_a: int = 0
    only_b: int = 0
    groups: int = 0


def compare(
    a: Mapping[str, float], b: Mapping[str, float], question: Question, *, groups: Mapping[str, str] | None = None
) -> Comparison:
    """Compare two answerers by their scores a case. `groups` names the cluster of each case. `Invalid` without a case
    that both have."""
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise Invalid("A and B have no case in common", hint="they are paired by id: check that both use the same ids")
    first, second = [a[case] for case in shared], [b[case] for case in shared]
    members = _members(shared, groups)
    interval = difference_interval(first, second, groups=members)
    deciding = difference_interval(first, second, groups=members, level=1 - question.alpha)
    if question.lower:
        deciding = replace(deciding, value=-deciding.value, low=-deciding.high, high=-deciding.low)
    test, p = _test(first, second, -question.margin if question.lower else question.margin, members)
    verdict = _decide(deciding, question, p)
    needed = 0
    if verdict is Outcome.UNDECIDED:
        needed = more_pairs(first, second, deciding, question.margin, grouped=members is not None)
    return Comparison(
        verdict=verdict,
        difference=interval.value,
        interval=(interval.low, interval.high),
        p=p,
        n=len(shared),
        needed=needed,
        metric=question.metric,
        mean_a=sum(first) / len(first),
        mean_b=sum(second) / len(second),
        test=test,
        margin=question.margin,
        alpha=question.alpha,
        lower=question.lower,
        visible=_visible(first, second, question.alpha) if members is None else 0.0,
        only_a=len(a) - len(shared),
        only_b=len(b) - len(shared),
        groups=len(set(members)) if members else 0,
    )


def _members(ids: Sequence[str], groups: Mapping[str, str] | None) -> list[str] | None:
    """The group of each case; a case without one is alone. None when no two cases share a group."""
    if not groups:
        return None
    members = [f"group {groups[case]}" if case in groups else f"case {case}" for case in ids]
    return members if len(set(members)) < len(members) else None


def _test(
    first: Sequence[float], second: Sequence[float], difference: float, members: Sequence[str] | None
) -> tuple[str, float]:
    """The two-sided p-value that the true difference is `difference`, and the name of the test."""
    if members is None and is_binary(first) and is_binary(second):
        pairs = discordance(first, second)
        if difference == 0.0:
            return "exact McNemar", mcnemar(pairs)
        return "Tango's score", score_test(pairs, difference)
    shifts = [b - a - difference for a, b in zip(first, second, strict=True)]
    return ("sign flips of groups" if members else "sign flips"), sign_flips(shifts, groups=members)


def _decide(interval: Interval, question: Question, p: float) -> Outcome:
    """By test and interval together, so that what is said never depends on which of the two one looks at."""
    if p <= question.alpha and interval.low > question.margin:
        return Outcome.PASS
    if p <= question.alpha and interval.high < question.margin:
        return Outcome.FAIL
    return Outcome.UNDECIDED


def _visible(first: Sequence[float], second: Sequence[float], alpha: float) -> float:
    """The smallest difference that so many pairs can show, at the discordance seen."""
    if not (is_binary(first) and is_binary(second)):
        return 0.0
    pairs = discordance(first, second)
    return smallest_difference(pairs.n, pairs.share, level=1 - alpha) if pairs.share else 0.0
