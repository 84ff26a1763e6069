"""How far two samples lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kedge.data.report.types import Drift

BINS = 10
_LEAST = 1e-4  # a share that no bin is below, so that an empty one has a logarithm


def number_drift(name: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> Drift:
    """Of numbers: the index over tenths of the reference, and the test of Kolmogorov and Smirnov."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    old = np.bincount(np.searchsorted(edges, before, side="right"), minlength=len(edges) + 1)
    new = np.bincount(np.searchsorted(edges, after, side="right"), minlength=len(edges) + 1)
    statistic, p = _smirnov(np.sort(before), np.sort(after))
    return Drift(name=name, psi=_stability(old, new), test="ks", statistic=statistic, p=p)


def label_drift(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> Drift:
    """Of labels: the index over their values, and the test of chi-squared that both are drawn alike."""
    values = sorted({*before, *after})
    old = np.array([before.get(value, 0) for value in values], dtype=np.float64)
    new = np.array([after.get(value, 0) for value in values], dtype=np.float64)
    statistic, p = _chi_squared(old, new)
    return Drift(name=name, psi=_stability(old, new), test="chi2", statistic=statistic, p=p)


def _stability(old: NDArray[np.number], new: NDArray[np.number]) -> float:
    """The population stability index of two histograms over the same bins."""
    if not old.sum() or not new.sum():
        return 0.0
    before, after = np.maximum(old / old.sum(), _LEAST), np.maximum(new / new.sum(), _LEAST)
    return float(((after - before) * np.log(after / before)).sum())


def _smirnov(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
    """The greatest distance of two distribution functions, and the chance of one as great by the asymptotic series."""
    every = np.concatenate((before, after))
    left = np.searchsorted(before, every, side="right") / max(1, len(before))
    right = np.searchsorted(after, every, side="right") / max(1, len(after))
    distance = float(np.abs(left - right).max(initial=0))
    size = len(before) * len(after) / max(1, len(before) + len(after))
    scaled = (math.sqrt(size) + 0.12 + 0.11 / math.sqrt(max(size, 1))) * distance
    if scaled < 0.2:
        return distance, 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return distance, min(1.0, max(0.0, sum(terms)))


def _chi_squared(old: NDArray[np.float64], new: NDArray[np.float64]) -> tuple[float, float]:
    """Pearson's statistic of a table of two rows, and the chance of one as great (Wilson and Hilferty's approximation)."""
    total, free = old.sum() + new.sum(), len(old) - 1
    if free < 1 or not old.sum() or not new.sum():
        return 0.0, 1.0
    column = old + new
    statistic = sum(
        float((((seen - column * seen.sum() / total) ** 2) / (column * seen.sum() / total)).sum())
        for seen in (old, new)
    )
    spread = 2 / (9 * free)
    deviate = ((statistic / free) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return statistic, 0.5 * math.erfc(deviate / math.sqrt(2))
