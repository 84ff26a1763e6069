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
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(width):
        hashes = mixed(hashes * _FACTOR + points.values[offset : offset + count])
    within = np.ones(len(points.values), dtype=bool)
    ends = points.starts[1:, None] - np.arange(1, width, dtype=np.int64)
    within[ends.ravel()] = False
    starts = points.starts.copy()
    starts[1:] -= np.arange(1, len(starts), dtype=np.int64) * (width - 1)
    return Ragged(hashes[within[:count]], starts)


def shingle_sets(texts: Sequence[str], width: int = 5) -> Ragged:
    """The distinct shingles of each text, numbered from 0 over all texts, ascending within a text."""
    found = shingles(texts, width)
    _, numbers = np.unique(found.values, return_inverse=True)
    keys = np.unique((found.owners.astype(np.uint64) << np.uint64(32)) | numbers.astype(np.uint64))
    starts = np.searchsorted(keys, np.arange(len(found) + 1, dtype=np.uint64) << np.uint64(32)).astype(np.int64)
    return Ragged(keys & np.uint64(0xFFFFFFFF), starts)


def jaccard(
    sets: Ragged, left: NDArray[np.int64], right: NDArray[np.int64], *, batch: int = 1 << 15
) -> NDArray[np.float64]:
    """The exact Jaccard similarity of set `left[i]` and set `right[i]`, for each i."""
    keys = (sets.owners.astype(np.uint64) << np.uint64(32)) | sets.values
    sizes = sets.lengths
    result = np.empty(len(left), dtype=np.float64)
    for begin in range(0, len(left), batch):
        small, large = left[begin : begin + batch], right[begin : begin + batch]
        swap = sizes[small] > sizes[large]
        small, large = np.where(swap, large, small), np.where(swap, small, large)
        shared = _shared(keys, sets, small, large)
        result[begin : begin + batch] = shared / (sizes[small] + sizes[large] - shared)
    return result


def _shared(
    keys: NDArray[np.uint64], sets: Ragged, small: NDArray[np.int64], large: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many members of each small set are in the large one beside it."""
    lengths = sets.lengths[small]
    pair = np.repeat(np.arange(len(small), dtype=np.int64), lengths)
    first = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    at = np.arange(len(pair), dtype=np.int64) - first[pair] + sets.starts[small][pair]
    wanted = (large[pair].astype(np.uint64) << np.uint64(32)) | sets.values[at]
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.bincount(pair[keys[place] == wanted], minlength=len(small)).astype(np.int64)
