"""By how much the second of two answerers is better on the same cases: intervals of the difference.

Right or wrong: Tango's score interval (Tango 1998, Statistics in Medicine 17; recommended by Fagerland, Lydersen and Laake
2014, same journal 33), which keeps its coverage with few discordant pairs or none. Other scores: all that the inverted
test by flipping signs or the studentised bootstrap holds possible. The one covers what it promises for symmetric
differences with heavy tails and for few groups, the other for skewed ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.intervals import (
    LEVEL,
    SEED,
    Bounds,
    Floats,
    group_sums,
    in_lots,
    mean_interval,
    normal_quantile,
)
from kedge.statistics.typical import typical_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """Of `n` pairs, how many only the first and only the second got right."""

    first: int
    second: int
    n: int

    @property
    def difference(self) -> float:
        """The share right of the second minus that of the first."""
        return (self.second - self.first) / self.n

    @property
    def share(self) -> float:
        """The share of pairs in which exactly one is right."""
        return (self.first + self.second) / self.n


def discordance(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Discordance:
    """Count the discordant pairs of two lists of zeros and ones."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) == 0 or len(a) != len(b):
        raise Invalid("a paired comparison needs at least one pair, and both scores of each")
    return Discordance(first=int((a > b).sum()), second=int((b > a).sum()), n=len(a))


def is_binary(values: Sequence[float] | Floats) -> bool:
    """Whether every value is 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    return bool(((data == 0.0) | (data == 1.0)).all())


def span(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Bounds:
    """The bounds that the scores seem to have: 0 and 1 where all lie between, else the least and the greatest."""
    low = min(float(np.min(first)), float(np.min(second)))
    high = max(float(np.max(first)), float(np.max(second)))
    return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)


def gaps_of(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Floats:
    """Second minus first, case by case. `Invalid` without cases, or with unlike numbers of them."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) == 0 or len(a) != len(b):
        raise Invalid("a paired comparison needs at least one pair, and both scores of each")
    gaps: Floats = b - a
    return gaps


def difference_interval(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    *,
    groups: Sequence[str] | None = None,
    level: float = LEVEL,
) -> Interval:
    """The mean of second minus first over the same cases: Tango's for zeros and ones; else, and with `groups`, all that
    the bootstrap or the inverted test by flipping signs holds possible.
    """
    if groups is None and is_binary(first) and is_binary(second):
        return tango(discordance(first, second), level=level)
    gaps = gaps_of(first, second)
    low, high = span(first, second)
    found = mean_interval(gaps, bounds=(low - high, high - low), groups=groups, level=level)
    ones = np.ones_like(gaps)
    units = in_lots(np.stack([gaps, ones] if groups is None else [group_sums(v, groups) for v in (gaps, ones)], axis=1))
    least, most = typical_bounds(units[:, 0], units[:, 1], level=level, seed=SEED)
    return replace(found, low=min(found.low, least), high=max(found.high, most))


def tango(pairs: Discordance, *, level: float = LEVEL) -> Interval:
    """The difference of two paired proportions with Tango's score interval."""
    z = normal_quantile(level)
    estimate = pairs.difference
    return Interval(
        value=estimate,
        low=_solve(lambda d: score(pairs, d) - z, -1.0, estimate),
        high=_solve(lambda d: score(pairs, d) + z, estimate, 1.0),
        level=level,
    )


def score(pairs: Discordance, difference: float) -> float:
    """Tango's statistic for the hypothesis that the true difference is `difference`: standard normal if so."""
    n, distance = pairs.n, pairs.second - pairs.first - pairs.n * difference
    b = -(pairs.first + pairs.second) + (2 * n - pairs.second + pairs.first) * difference
    c = -pairs.first * difference * (1 - difference)
    only_first = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * only_first + difference * (1 - difference))
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _solve(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0, by halving until floats are exhausted."""
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
