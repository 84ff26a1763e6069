"""The interval that belongs to a test by flipping signs: the differences which that test would not reject.

Means of random subsets are typical values of a centre of symmetry (Hartigan 1969, Journal of the American Statistical
Association 64): drawn a thousand times, the centre lies between any two that follow each other with the same
probability. So the interval covers exactly what it promises for every symmetric shape, heavy tails included, where the
bootstrap promises more than it holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from kedge.statistics.intervals import Floats

SUBSETS = 2000

_ALL = 11  # up to 2 ** 11 subsets are all taken
_CHUNK = 2_000_000  # numbers drawn at once


def typical_bounds(above: Floats, below: Floats, *, level: float, seed: int) -> tuple[float, float]:
    """The bounds of a mean, or of a ratio of sums, over units whose errors are symmetric. `below` is positive."""
    values = np.sort(np.concatenate([(chosen @ above) / (chosen @ below) for chosen in _subsets(len(above), seed)]))
    outside = max(1, math.floor((len(values) + 1) * (1 - level) / 2))
    return float(values[outside - 1]), float(values[-outside])


def _subsets(n: int, seed: int) -> Iterator[Floats]:
    """Subsets with at least one unit, a row of zeros and ones each, a chunk of rows at a time."""
    if n <= _ALL:
        yield ((np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
        return
    random, rows = np.random.default_rng(seed), max(1, _CHUNK // n)
    for start in range(0, SUBSETS, rows):
        chosen = random.integers(0, 2, (min(rows, SUBSETS - start), n), dtype=np.int8).astype(np.float64)
        yield chosen[chosen.any(axis=1)]
