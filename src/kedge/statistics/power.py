"""How many cases a decision needs: normal approximations, by the difference one wants to see.

Every formula is for a two-sided interval of the given level that excludes the reference with the given power. One
proportion and one mean: Fleiss, Levin and Paik 2003, chapter 2. Paired proportions: Connor 1987, Biometrics 43.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.intervals import LEVEL, normal_quantile

POWER = 0.8
MOST = 10_000_000  # beyond this, "too close to tell"


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


def _deviation(share: float) -> float:
    return math.sqrt(max(0.0, share * (1 - share)))


def _quantile(power: float) -> float:
    return NormalDist().inv_cdf(power)


def _cases(spread: float, difference: float) -> int:
    if difference == 0.0 or spread / abs(difference) > math.sqrt(MOST):
        return MOST
    return max(1, math.ceil((spread / difference) ** 2 - 1e-9))
