"""Two answerers on the same cases: tests and intervals of the difference, second minus first.

Right or wrong: the exact McNemar test, which never rejects a true null hypothesis more often than it says, and Tango's
score interval (Tango 1998, Statistics in Medicine 17; recommended by Fagerland, Lydersen and Laake 2014, same journal
33), which keeps its coverage with few discordant pairs or none. Other scores: a test by flipping signs (Fisher's
randomisation test) and the studentised bootstrap of the differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import bdtr

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.intervals import LEVEL, SEED, Floats, group_sums, mean_interval, normal_quantile

FLIPS = 10_000

_EXACT = 16  # up to 2 ** 16 sign patterns are all tried
_CHUNK = 4_000_000


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


def is_binary(values: Sequence[float] | Floats) -> bool:
    """Whether every value is 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    return bool(((data == 0.0) | (data == 1.0)).all())


def discordance(first: Sequence[float], second: Sequence[float]) -> Discordance:
    """Count the discordant pairs of two lists of zeros and ones."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) == 0 or len(a) != len(b):
        raise Invalid("a paired comparison needs at least one pair, and both scores of each")
    return Discordance(first=int((a > b).sum()), second=int((b > a).sum()), n=len(a))


def mcnemar(pairs: Discordance) -> float:
    """The two-sided p-value of the exact McNemar test that both are right equally often."""
    discordant = pairs.first + pairs.second
    return min(1.0, 2.0 * float(bdtr(min(pairs.first, pairs.second), discordant, 0.5)))


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


def score_test(pairs: Discordance, difference: float) -> float:
    """The two-sided p-value of the hypothesis that the true difference is `difference`, as when there is a margin."""
    return 2.0 * NormalDist().cdf(-abs(score(pairs, difference)))


def sign_flips(
    differences: Sequence[float] | Floats, *, groups: Sequence[str] | None = None, seed: int = SEED
) -> float:
    """The two-sided p-value that differences are symmetric about 0; the signs of a group flip together.

    Exact up to 16 units; beyond, over 10,000 random flips and never below 1 in 10,001.
    """
    values = np.asarray(differences, dtype=np.float64)
    units = values if groups is None else group_sums(values, groups)
    units = units[units != 0.0]
    if len(units) == 0:
        return 1.0
    observed = abs(float(units.sum())) * (1 - 1e-12)
    if len(units) <= _EXACT:
        patterns = (np.arange(2 ** len(units))[:, None] >> np.arange(len(units))) & 1
        return float((np.abs((2.0 * patterns - 1.0) @ units) >= observed).mean())
    random, rows, extreme = np.random.default_rng(seed), max(1, _CHUNK // len(units)), 0
    for start in range(0, FLIPS, rows):
        flips = random.integers(0, 2, (min(rows, FLIPS - start), len(units)), dtype=np.int8)
        extreme += int((np.abs((2.0 * flips - 1.0) @ units) >= observed).sum())
    return (extreme + 1) / (FLIPS + 1)


def difference_interval(
    first: Sequence[float], second: Sequence[float], *, groups: Sequence[str] | None = None, level: float = LEVEL
) -> Interval:
    """The mean of second minus first over the same cases: Tango's for zeros and ones, else the bootstrap's.

    With `groups` it is the bootstrap over groups for both.
    """
    if groups is None and is_binary(first) and is_binary(second):
        return tango(discordance(first, second), level=level)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) == 0 or len(a) != len(b):
        raise Invalid("a paired comparison needs at least one pair, and both scores of each")
    return mean_interval(b - a, groups=groups, level=level)


def _solve(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0, by halving until floats are exhausted."""
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
