"""Confidence intervals for proportions and for means.

Proportions: Wilson's score interval (Wilson 1927; recommended by Brown, Cai and DasGupta 2001, Statistical Science 16).
Means: the studentised bootstrap (Efron and Tibshirani 1993, chapter 12; Hall 1988, Annals of Statistics 16), which at
20 to 200 cases covers more nearly what it promises than the percentile and BCa bootstraps; with fewer than 10 units that
differ from the rest, or where too many resamples are constant for it, Student's t. A mean over clusters and a mean
weighted by length are ratios of two sums over the units drawn, so one function serves all; beyond some thousand units,
random lots of them are drawn instead.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.bounded import unseen_share

LEVEL = 0.95
RESAMPLES = 2000
SEED = 20011105

Floats = NDArray[np.float64]
Bounds = tuple[float, float]

_CHUNK = 2_000_000  # numbers drawn at once
_FEW = 10  # with fewer units a resample's own spread is too uncertain to divide by
_LOTS = 2_000  # beyond twice as many units, so many lots of them are drawn
_CONSTANT = 0.005  # share of constant resamples above which the studentised bootstrap says nothing


def normal_quantile(level: float) -> float:
    """The number of standard errors on either side of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(successes: float, n: int, *, level: float = LEVEL) -> Interval:
    """The share of successes with Wilson's score interval. Without cases nothing is known: [0, 1]."""
    if n < 0 or not 0 <= successes <= n:
        raise Invalid(f"{successes} successes of {n} are impossible")
    if n == 0:
        return Interval(value=0.0, low=0.0, high=1.0, level=level)
    z = normal_quantile(level)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(value=share, low=low, high=high, level=level)


def mean_interval(
    values: Sequence[float] | Floats,
    *,
    bounds: Bounds | None = None,
    groups: Sequence[str] | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Interval:
    """The mean of one value a case, with its interval.

    `bounds` are the values a score can have at all; `groups` names each case's cluster, and clusters are then what is
    drawn. When all values are equal, the interval of bounded values leaves room for as many others as may be unseen.
    """
    data = np.asarray(values, dtype=np.float64)
    return ratio_interval(data, np.ones_like(data), bounds=bounds, groups=groups, level=level, seed=seed)


def ratio_interval(
    numerators: Sequence[float] | Floats,
    denominators: Sequence[float] | Floats,
    *,
    bounds: Bounds | None = None,
    groups: Sequence[str] | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Interval:
    """The sum of numerators over the sum of denominators (which are positive), with its interval.

    With fewer than 2 units, or with constant values of unknown bounds, the interval is the value itself: whoever
    decides by it must ask for more cases.
    """
    above, below = _units(numerators, denominators, groups)
    value = float(above.sum() / below.sum())
    units = in_lots(np.stack([above, below], axis=1), seed)
    n, above, below = len(above), units[:, 0], units[:, 1]
    errors = above - value * below
    if not np.any(np.abs(errors) > 1e-12 * max(1.0, abs(value))):
        return _constant(value, n, bounds, level)
    low, high = _studentised(above, below, value, level=level, seed=seed)
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Interval(value=value, low=float(min(low, value)), high=float(max(high, value)), level=level)


def group_sums(values: Floats, groups: Sequence[str]) -> Floats:
    """The sum of the values of each group, by the group's name."""
    _, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    return np.bincount(member, weights=values).astype(np.float64)


def _units(numerators: Any, denominators: Any, groups: Sequence[str] | None) -> tuple[Floats, Floats]:
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)
    if len(above) == 0 or len(above) != len(below):
        raise Invalid("an interval needs at least one case, and as many denominators as numerators")
    if not np.isfinite(above).all() or not (below > 0).all():
        raise Invalid("a score is not a finite number, or a weight is not positive")
    if groups is None:
        return above, below
    return group_sums(above, groups), group_sums(below, groups)


def in_lots(values: Floats, seed: int = SEED) -> Floats:
    """The sums of random lots of the rows, where there are so many that lots tell as much; else the rows."""
    n = len(values)
    if n <= 2 * _LOTS:
        return values
    member = np.random.default_rng(seed).permutation(n) % _LOTS
    sums = np.zeros((_LOTS, *values.shape[1:]))
    np.add.at(sums, member, values)
    return sums


def _constant(value: float, n: int, bounds: Bounds | None, level: float) -> Interval:
    if bounds is None:
        return Interval(value=value, low=value, high=value, level=level)
    unseen = unseen_share(n, level)
    low, high = value - unseen * max(0.0, value - bounds[0]), value + unseen * max(0.0, bounds[1] - value)
    return Interval(value=value, low=low, high=high, level=level)


def _studentised(above: Floats, below: Floats, value: float, *, level: float, seed: int) -> tuple[float, float]:
    n = len(above)
    errors = above - value * below
    features = np.stack([errors, below, errors * errors, errors * below, below * below], axis=1)
    error = float(_standard_error(features.sum(axis=0)[None, :], n)[1][0])
    tails = _tails(features, error, level, seed) if _differing(errors) >= _FEW else None
    if tails is None:
        student = importlib.import_module("kedge.statistics.student")  # by name: most intervals need no scipy
        half = student.student_quantile(level, n - 1) * error
        return value - half, value + half
    return value - tails[1] * error, value - tails[0] * error


def _differing(errors: Floats) -> int:
    """How many units do not have the most common value: 6 of 60 differences that are not 0 tell as much as 6."""
    _, counts = np.unique(errors, return_counts=True)
    return len(errors) - int(counts.max()) if counts.max() > 1 else len(errors)


def _tails(features: Floats, error: float, level: float, seed: int) -> tuple[float, float] | None:
    """The quantiles of the resamples' distance from the estimate, each in its own standard errors."""
    n = len(features)
    drawn = [_standard_error(weights @ features, n) for weights in resamples(n, seed)]
    shift, spread = np.concatenate([d[0] for d in drawn]), np.concatenate([d[1] for d in drawn])
    usable = spread > 1e-9 * error
    if 1 - usable.mean() > _CONSTANT:
        return None
    low, high = np.quantile(shift[usable] / spread[usable], [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def _standard_error(sums: Floats, n: int) -> tuple[Floats, Floats]:
    """How far each resample's ratio lies from the estimate, and its own standard error."""
    shift = sums[:, 0] / sums[:, 1]
    squares = np.maximum(sums[:, 2] - 2 * shift * sums[:, 3] + shift * shift * sums[:, 4], 0.0)
    return shift, np.sqrt(squares * n / (n - 1)) / sums[:, 1]


def resamples(n: int, seed: int) -> Iterator[Floats]:
    """How often each of n units is drawn, one row a resample, a chunk of rows at a time."""
    random = np.random.default_rng(seed)
    rows = max(1, min(RESAMPLES, _CHUNK // n))
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        drawn = random.integers(0, n, (count, n)) + np.arange(count)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)
