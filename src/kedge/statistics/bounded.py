"""The mean of bounded values, without any assumption on their shape.

Gaffke's test (Gaffke 2005; Learned-Miller and Thomas 2019; Phan, Thomas and Learned-Miller 2021, ICML): a case that was
not seen is taken to be as bad as can be, and all cases get random weights that sum to one. For zeros and ones it is the
bound of Clopper and Pearson. The probability is that of a sum of weighted exponentials, by the saddlepoint formula of
Lugannani and Rice 1980 (Advances in Applied Probability 12), which is right to a fraction of a per cent.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NORMAL = NormalDist()
_NEAR = 1e-4  # so close to the middle the formula is 0 / 0, and its limit is taken


def mean_above(values: Any, reference: float, least: float) -> float:
    """The one-sided p-value of "the mean is at most `reference`" for values that are at least `least`."""
    data: Floats = np.asarray(values, dtype=np.float64)
    if least >= reference:
        return 0.0 if float(data.min()) > reference else 1.0
    shifts = np.append(data, least) - reference
    if not (shifts > 0.0).any():
        return 1.0
    return _below_zero(shifts / np.abs(shifts).max())


def unseen_share(n: int, level: float) -> float:
    """The largest share that a kind of case can have of which n cases show none, at this two-sided level."""
    return 1.0 - math.exp(math.log((1.0 - level) / 2.0) / n)


def _below_zero(factors: Floats) -> float:
    """How likely the sum of independent exponentials times these factors, some of either sign, is below 0."""
    point = _saddle(factors)
    left = 1.0 - factors * point
    root = -2.0 * float(-np.log(left).sum())
    spread = float(((factors / left) ** 2).sum())
    w, u = math.copysign(math.sqrt(max(root, 0.0)), point), point * math.sqrt(spread)
    if abs(w) < _NEAR or abs(u) < _NEAR:
        skewness = 2.0 * float((factors**3).sum()) / math.sqrt(float((factors**2).sum())) ** 3
        return min(1.0, max(0.0, 0.5 + skewness / (6.0 * math.sqrt(2.0 * math.pi)) - w / math.sqrt(2.0 * math.pi)))
    found = _NORMAL.cdf(w) + _NORMAL.pdf(w) * (1.0 / w - 1.0 / u)
    return min(1.0, max(0.0, float(found)))


def _saddle(factors: Floats) -> float:
    """Where the slope of the cumulant generating function is 0: the mean of the tilted sum."""
    low, high = 1.0 / float(factors.min()), 1.0 / float(factors.max())
    low, high = low * (1.0 - 1e-12), high * (1.0 - 1e-12)
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if float((factors / (1.0 - factors * middle)).sum()) > 0.0:
            high = middle
        else:
            low = middle
    return (low + high) / 2.0
