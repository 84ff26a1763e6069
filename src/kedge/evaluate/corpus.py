"""Intervals of metrics that are no mean of their cases, as BLEU or macro F1: the bootstrap over cases.

Counts of cases add up, so that a resample is a weighted sum and the metric is made from sums alone. The interval is the
bias-corrected and accelerated one (Efron 1987, Journal of the American Statistical Association 82); for BLEU resampling
cases is Koehn's (2004, EMNLP).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from kedge.core.evaluation import Interval
from kedge.statistics.intervals import LEVEL, SEED, Bounds, Floats, mean_interval, resamples

_NORMAL = NormalDist()


def corpus_interval(
    tallies: Floats, combine: Callable[[Floats], Floats], *, bounds: Bounds | None = None, level: float = LEVEL
) -> Interval:
    """The metric over all cases with its interval. `tallies` has a row a case."""
    total = tallies.sum(axis=0)
    value = float(combine(total[None, :])[0])
    n = len(tallies)
    if n < 2:
        return mean_interval([value], bounds=bounds, level=level)
    drawn = np.concatenate([combine(weights @ tallies) for weights in resamples(n, SEED)])
    if float(drawn.std()) <= 1e-12 * max(1.0, abs(value)):
        return mean_interval(np.full(n, value), bounds=bounds, level=level)
    low, high = _accelerated(drawn, combine(total[None, :] - tallies), value, level)
    return Interval(value=value, low=min(low, value), high=max(high, value), level=level)


def _accelerated(drawn: Floats, left_out: Floats, value: float, level: float) -> tuple[float, float]:
    below = float((drawn < value).mean() + 0.5 * (drawn == value).mean())
    bias = _NORMAL.inv_cdf(min(max(below, 1e-4), 1 - 1e-4))
    away = left_out.mean() - left_out
    spread = float((away**2).sum())
    acceleration = float((away**3).sum()) / (6.0 * spread**1.5) if spread > 0 else 0.0

    def place(tail: float) -> float:
        z = bias + _NORMAL.inv_cdf(tail)
        return _NORMAL.cdf(bias + z / (1 - acceleration * z))

    low, high = np.quantile(drawn, [place(0.5 - level / 2), place(0.5 + level / 2)])
    return float(low), float(high)
