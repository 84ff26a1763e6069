"""Two answerers on the same cases: tests and intervals of the difference, second minus first.

Right or wrong: the exact McNemar test, which never rejects a true null hypothesis more often than it says, and Tango's
score interval (Tango 1998, Statistics in Medicine 17; recommended by Fagerland, Lydersen and Laake 2014, same journal
33), which keeps its coverage with few discordant pairs or none. Other scores: a test by flipping signs (Fisher's
randomisation test), and an interval that holds what that test would not reject and the studentised bootstrap's: the one
covers what it promises for symmetric differences with heavy tails and for few groups, the other for skewed ones. Flipping
signs is exact when both answerers are alike. When only their means are, rare bad cases that were not seen could deceive
it; so Gaffke's test must agree to a decision, for which a case as bad as the scores' bounds allow may have been missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from scipy.special import bdtr

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.bounded import mean_above
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """A paired test that second minus first has some mean: its name and two-sided p-value.

    `guard` is the one-sided p-value if a case as bad as can be may have been missed (0 where the test is exact for every
    shape of scores): a decision at some level needs both to be at most that.
    """

    name: str
    p: float
    guard: float = 0.0


def paired_test(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    *,
    difference: float = 0.0,
    groups: Sequence[str] | None = None,
) -> PairedTest:
    """The test that the mean of second minus first is `difference`, by the method that fits the scores."""
    if groups is None and is_binary(first) and is_binary(second):
        pairs = discordance(first, second)
        if difference == 0.0:
            return PairedTest(name="exact McNemar", p=mcnemar(pairs))
        return PairedTest(name="Tango's score", p=score_test(pairs, difference))
    shifts = _gaps(first, second) - difference
    if groups is None:
        return PairedTest(
            name="sign flips", p=sign_flips(shifts), guard=_guard(shifts, reach(first, second, difference))
        )
    sums = group_sums(shifts, groups)
    worst = float(np.abs(sums).max())
    return PairedTest(name="sign flips of groups", p=sign_flips(shifts, groups=groups), guard=_guard(sums, worst))


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values corrected for being asked together (Holm 1979): to be compared with alpha as they are."""
    found, least = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        found[place] = least
    return found


def reach(first: Sequence[float] | Floats, second: Sequence[float] | Floats, difference: float = 0.0) -> float:
    """How far from `difference` the gap of one case can lie, by the bounds that the scores seem to have."""
    low, high = span(first, second)
    return high - low + abs(difference)


def _guard(shifts: Floats, worst: float) -> float:
    """Gaffke's p-value on the side where the mean lies, if one unit may be as far on the other side as `worst`."""
    return mean_above(shifts if shifts.mean() >= 0.0 else -shifts, 0.0, -worst) if worst > 0.0 else 1.0


def _gaps(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Floats:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) == 0 or len(a) != len(b):
        raise Invalid("a paired comparison needs at least one pair, and both scores of each")
    gaps: Floats = b - a
    return gaps


def span(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Bounds:
    """The bounds that the scores seem to have: 0 and 1 where all lie between, else the least and the greatest."""
    low = min(float(np.min(first)), float(np.min(second)))
    high = max(float(np.max(first)), float(np.max(second)))
    return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)


def is_binary(values: Sequence[float] | Floats) -> bool:
    """Whether every value is 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    return bool(((data == 0.0) | (data == 1.0)).all())


def discordance(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> Discordance:
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
    units = in_lots(units[units != 0.0], seed)
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
    gaps = _gaps(first, second)
    low, high = span(first, second)
    found = mean_interval(gaps, bounds=(low - high, high - low), groups=groups, level=level)
    ones = np.ones_like(gaps)
    units = in_lots(np.stack([gaps, ones] if groups is None else [group_sums(v, groups) for v in (gaps, ones)], axis=1))
    least, most = typical_bounds(units[:, 0], units[:, 1], level=level, seed=SEED)
    return replace(found, low=min(found.low, least), high=max(found.high, most))


def _solve(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0, by halving until floats are exhausted."""
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
