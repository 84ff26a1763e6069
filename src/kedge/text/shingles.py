"""Overlapping runs of characters as 64-bit numbers, for many texts at once.

Two different shingles share a number with a chance of about 2**-64, so comparing numbers is comparing shingles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedge.text.ragged import Ragged, code_points, mixed

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def shingles(texts: Sequence[str], width: int = 5) -> Ragged:
    """Every run of `width` characters of each text, in order and with repeats; a shorter text is one shingle."""
    points = code_points(texts, width=width)
    if not len(texts):
        return points
    count = len(points.values) - width + 1
    sums = np.zeros(count, dtype=np.uint64)
    for offset in range(width):
        sums *= _FACTOR
        sums += points.values[offset : offset + count]
    within = np.ones(len(points.values), dtype=bool)
    ends = points.starts[1:, None] - np.arange(1, width, dtype=np.int64)
    within[ends.ravel()] = False
    starts = points.starts.copy()
    starts[1:] -= np.arange(1, len(starts), dtype=np.int64) * (width - 1)
    return Ragged(mixed(sums)[within[:count]], starts)


def shingle_sets(texts: Sequence[str], width: int = 5) -> Ragged:
    """The distinct shingles of each text, ascending within a text."""
    found = shingles(texts, width)
    sets = list(map(np.unique, np.split(found.values, found.starts[1:-1]))) if len(found) else []
    starts = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return Ragged(np.concatenate(sets) if sets else found.values, starts)


def jaccard(sets: Ragged, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """The exact Jaccard similarity of set `left[i]` and set `right[i]`, for each i."""
    starts, lengths = sets.starts.tolist(), sets.lengths
    shared = np.empty(len(left), dtype=np.int64)
    for i, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        both = np.concatenate((sets.values[starts[a] : starts[a + 1]], sets.values[starts[b] : starts[b + 1]]))
        both.sort()
        shared[i] = np.count_nonzero(both[1:] == both[:-1])
    similar: NDArray[np.float64] = shared / (lengths[left] + lengths[right] - shared)
    return similar
