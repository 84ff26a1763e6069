"""How many cases a decision needs, by the difference one wants to see, and how likely so many cases show it.

Every formula is for a two-sided interval of the given level that excludes the reference with the given power. One
proportion and one mean: Fleiss, Levin and Paik 2003, chapter 2. Paired proportions: Connor 1987, Biometrics 43. The power
of the exact McNemar test is counted out (Duffy 1984, Biometrics 40); that of a mean allows for the guard of
`statistics.paired`, which asks for about three cases over the difference however little the cases vary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from scipy.special import bdtr

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.intervals import LEVEL, Floats, normal_quantile
from kedge.statistics.student import student_quantile

POWER = 0.8
MOST = 10_000_000  # beyond this, "too close to tell"

_AROUND = 3  # the normal approximation misses a critical count by less
_COUNTED = 20_000  # up to so many pairs the exact test's power is counted out


def cases_for_proportion(expected: float, reference: float, *, level: float = LEVEL, power: float = POWER) -> int:
    """Cases needed to tell a true share `expected` from `reference`. `MOST` if they are too close."""
    spread = normal_quantile(level) * _deviation(reference) + _quantile(power) * _deviation(expected)
    return _cases(spread, expected - reference)


def cases_for_paired(difference: float, discordant: float, *, level: float = LEVEL, power: float = POWER) -> int:
    """Pairs needed to tell a true difference from 0 when a share `discordant` of pairs differs. `MOST` if too close."""
    if not abs(difference) <= discordant <= 1:
        raise Invalid(f"a difference of {difference} needs more discordant pairs than {discordant}")
    spread = normal_quantile(level) * math.sqrt(discordant)
    spread += _quantile(power) * math.sqrt(max(0.0, discordant - difference**2))
    return _cases(spread, difference)


def cases_for_mean(difference: float, deviation: float, *, level: float = LEVEL, power: float = POWER) -> int:
    """Cases needed to tell a true mean `difference` from 0 when cases deviate by `deviation`. `MOST` if too close."""
    return _cases((normal_quantile(level) + _quantile(power)) * deviation, difference)


def cases_to_decide(interval: Interval, n: int, reference: float, *, power: float = POWER) -> int:
    """Cases needed, of which there are `n`, for an interval like this to leave the reference out if its value is true.

    Serves any estimate whose interval shrinks with the root of the cases. `MOST` if the value is too close.
    """
    deviation = (interval.high - interval.low) / (2 * normal_quantile(interval.level)) * math.sqrt(n)
    return cases_for_mean(interval.value - reference, deviation, level=interval.level, power=power)


def smallest_difference(cases: int, discordant: float, *, level: float = LEVEL, power: float = POWER) -> float:
    """The difference of paired proportions that `cases` pairs can show, when a share `discordant` of them differs.

    A difference larger than that share comes with as many discordant pairs itself.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        enough = cases_for_paired(middle, max(middle, discordant), level=level, power=power) <= cases
        low, high = (low, middle) if enough else (middle, high)
    return high


def power_of_pairs(n: int, difference: float, discordant: float, *, level: float = LEVEL) -> float:
    """How likely n pairs show a true difference of paired proportions by the exact McNemar test."""
    if not abs(difference) <= discordant <= 1 or n < 1:
        raise Invalid(f"a difference of {difference} needs more discordant pairs than {discordant}")
    if discordant == 0.0:
        return 0.0
    around, reach = n * discordant, 9.0 * math.sqrt(n * discordant * (1.0 - discordant)) + 9.0
    count = np.arange(max(0, math.floor(around - reach)), min(n, math.ceil(around + reach)) + 1)
    up_to = bdtr(count, n, discordant)
    seen = np.diff(up_to, prepend=float(bdtr(count[0] - 1, n, discordant)) if count[0] else 0.0)
    most = _smaller_counts(1 << n.bit_length(), level)[count]
    better = (discordant + abs(difference)) / (2.0 * discordant)
    shown = np.where(most < 0, 0.0, bdtr(np.maximum(most, 0), count, 1.0 - better))
    return float(np.sum(seen * shown))


@lru_cache(maxsize=64)
def _smaller_counts(size: int, level: float) -> Floats:
    """For up to so many discordant pairs, how many of them the rarer kind may have for the test to reject; -1: none."""
    count = np.arange(size)
    about = np.floor(count / 2 - normal_quantile(level) * np.sqrt(count) / 2)
    most: Floats = np.minimum(count, about + _AROUND)
    for _ in range(2 * _AROUND):
        most = np.where((most >= 0) & (2.0 * bdtr(np.maximum(most, 0), count, 0.5) > 1.0 - level), most - 1, most)
    return most


def cases_for_pairs(difference: float, discordant: float, *, level: float = LEVEL, power: float = POWER) -> int:
    """Pairs with which the exact McNemar test shows a true difference with this power. `MOST` if it is too close."""
    about = cases_for_paired(difference, discordant, level=level, power=power)
    if about > _COUNTED:
        return about
    return _least(lambda n: power_of_pairs(n, difference, discordant, level=level) >= power, about)


def power_of_mean(n: int, difference: float, deviation: float, *, reach: float = 0.0, level: float = LEVEL) -> float:
    """How likely n cases show a true mean difference, when cases deviate so and one may be as far off as `reach`."""
    if n < 2:
        return 0.0
    error = deviation / math.sqrt(n)
    limit = student_quantile(level, n - 1) * error
    if reach > 0.0:
        worst = reach + abs(difference)
        limit = max(limit, worst / (n + 1) + _quantile(level) * math.hypot(error, worst / n))
    if error == 0.0:
        return float(abs(difference) > limit)
    return NormalDist().cdf((abs(difference) - limit) / error)


def cases_for_guarded_mean(
    difference: float, deviation: float, reach: float, *, level: float = LEVEL, power: float = POWER
) -> int:
    """Cases with which sign flips and their guard show a true mean difference with this power. `MOST` if too close."""
    about = cases_for_mean(difference, deviation, level=level, power=power)
    if about >= MOST:
        return MOST
    return _least(lambda n: power_of_mean(n, difference, deviation, reach=reach, level=level) >= power, about)


def _least(enough: Callable[[int], bool], about: int) -> int:
    """The least number that is enough, when more always are, from a guess."""
    low, high = 0, max(1, about)
    while not enough(high):
        low, high = high, 2 * high
        if high >= MOST:
            return MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _deviation(share: float) -> float:
    return math.sqrt(max(0.0, share * (1 - share)))


def _quantile(power: float) -> float:
    return NormalDist().inv_cdf(power)


def _cases(spread: float, difference: float) -> int:
    if difference == 0.0 or spread / abs(difference) > math.sqrt(MOST):
        return MOST
    return max(1, math.ceil((spread / difference) ** 2 - 1e-9))
