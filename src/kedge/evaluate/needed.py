"""How many cases would decide what is undecided, if what was seen is the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kedge.core.evaluation import Interval
from kedge.statistics.differences import discordance, is_binary
from kedge.statistics.intervals import Floats
from kedge.statistics.paired import reach
from kedge.statistics.power import (
    MOST,
    cases_for_guarded_mean,
    cases_for_pairs,
    cases_for_proportion,
    cases_to_decide,
    power_of_mean,
    power_of_pairs,
)

LEAST_DISCORDANT = 0.01  # pairs of which none differed may differ so often at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How much the gaps between two answerers vary: the share of discordant pairs of right and wrong, or else the
    standard deviation and how far one gap can lie from 0."""

    discordant: float = 0.0
    deviation: float = 0.0
    reach: float = 0.0


def spread_of(first: Floats, second: Floats) -> Spread:
    """How much the gaps seen vary."""
    if is_binary(first) and is_binary(second):
        return Spread(discordant=max(LEAST_DISCORDANT, discordance(first, second).share))
    gaps = second - first
    return Spread(deviation=float(gaps.std(ddof=min(1, len(gaps) - 1))), reach=reach(first, second))


def spread_alone(scores: Floats) -> Spread:
    """How much the gaps to another answerer would vary that is as good, and right or wrong independently of this one:
    most are closer, so that this is on the safe side."""
    if is_binary(scores):
        share = float(scores.mean())
        return Spread(discordant=max(LEAST_DISCORDANT, 2 * share * (1 - share)))
    return Spread(deviation=float(np.sqrt(2.0) * scores.std(ddof=min(1, len(scores) - 1))), reach=reach(scores, scores))


def cases_to_see(difference: float, spread: Spread, *, alpha: float) -> int:
    """Pairs that show a true difference four times out of five."""
    if spread.discordant:
        return cases_for_pairs(difference, min(1.0, max(difference, spread.discordant)), level=1 - alpha)
    return cases_for_guarded_mean(difference, spread.deviation, spread.reach, level=1 - alpha) if difference else MOST


def power_to_see(difference: float, spread: Spread, n: int, *, alpha: float) -> float:
    """How likely n pairs show a true difference."""
    if spread.discordant:
        return power_of_pairs(n, difference, min(1.0, max(difference, spread.discordant)), level=1 - alpha)
    return power_of_mean(n, difference, spread.deviation, reach=spread.reach, level=1 - alpha)


def more_cases(interval: Interval, n: int, reference: float, *, scores: Floats) -> int:
    """Cases that would tell a value from a reference four times out of five; always more than there are. `scores` are
    those of the cases, where the metric has them."""
    if len(scores) and is_binary(scores) and 0 < reference < 1:
        needed = cases_for_proportion(interval.value, reference, level=interval.level)
    else:
        needed = cases_to_decide(interval, n, reference)
        if len(scores) and needed < MOST and interval.value != reference:
            deviation = float(scores.std())
            worst = reach(scores, scores)
            needed = max(
                needed, cases_for_guarded_mean(interval.value - reference, deviation, worst, level=interval.level)
            )
    return min(MOST, max(n + 1, needed))


def more_pairs(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    interval: Interval,
    margin: float,
    *,
    grouped: bool = False,
) -> int:
    """Pairs that would tell a difference from a margin four times out of five; always more than there are.

    `grouped`: the interval is one over groups of cases, and more cases are taken to come in groups as large.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    binary = is_binary(a) and is_binary(b)
    gap = interval.value - margin
    if grouped or (binary and margin != 0.0):
        needed = cases_to_decide(interval, len(a), margin)
    elif binary:
        pairs = discordance(a, b)
        needed = cases_for_pairs(pairs.difference, pairs.share, level=interval.level) if pairs.difference else MOST
    else:
        spread = spread_of(a, b)
        needed = cases_for_guarded_mean(gap, spread.deviation, spread.reach + abs(margin), level=interval.level)
    return min(MOST, max(len(a) + 1, needed))
