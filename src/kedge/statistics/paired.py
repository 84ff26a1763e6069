"""Two answerers on the same cases: tests of the difference, second minus first.

Right or wrong: the exact McNemar test, which never rejects a true null hypothesis more often than it says. Other scores: a
test by flipping signs (Fisher's randomisation test). Flipping signs is exact when both answerers are alike. When only
their means are, rare bad cases that were not seen could deceive it; so Gaffke's test must agree to a decision, for which a
case as bad as the scores' bounds allow may have been missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import bdtr

from kedge.statistics.bounded import mean_above
from kedge.statistics.differences import Discordance, discordance, gaps_of, is_binary, score, span
from kedge.statistics.intervals import SEED, Floats, group_sums, in_lots

FLIPS = 10_000

_EXACT = 16  # up to 2 ** 16 sign patterns are all tried
_CHUNK = 4_000_000


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
    shifts = gaps_of(first, second) - difference
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


def mcnemar(pairs: Discordance) -> float:
    """The two-sided p-value of the exact McNemar test that both are right equally often."""
    discordant = pairs.first + pairs.second
    return min(1.0, 2.0 * float(bdtr(min(pairs.first, pairs.second), discordant, 0.5)))


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
