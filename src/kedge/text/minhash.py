"""MinHash signatures, and the pairs of texts that are worth comparing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kedge.text.ragged import Ragged, mixed

EMPTY = np.uint32(0xFFFFFFFF)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def signatures(shingles: Ragged, hashes: int) -> NDArray[np.uint32]:
    """One row of `hashes` minima (a power of two, at least 2) for each list, none of which may be empty.

    The share of equal minima of two rows estimates the Jaccard similarity of their shingle sets, as closely as that many
    independent minima do. Fast similarity sketching (Dahlgaard, Knudsen and Thorup, FOCS 2017): a shingle is hashed once
    and falls into one of the minima; those that are still empty then are filled in further rounds, the last of which
    reach each of them.
    """
    result = np.full((len(shingles), hashes), EMPTY, dtype=np.uint32)
    rows, bits = np.arange(len(shingles)), np.uint64(hashes.bit_length() - 1)
    values, owners = shingles.values, shingles.owners
    for number, (factor, term) in enumerate(zip(*drawn_from(2 * hashes), strict=True)):
        drawn = values * factor
        drawn += term
        at = owners * hashes
        at += (drawn >> (np.uint64(64) - bits)).view(np.int64) if number < hashes else number - hashes
        drawn <<= bits
        drawn >>= np.uint64(32)
        least = np.full((len(rows), hashes), EMPTY, dtype=np.uint32)
        np.minimum.at(least.reshape(-1), at, drawn.astype(np.uint32))
        result[rows] = least = np.where(result[rows] == EMPTY, least, result[rows])
        again = (least == EMPTY).any(axis=1)
        if not again.any():
            break
        left = again[owners]
        rows, values, owners = rows[again], values[left], (np.cumsum(again) - 1)[owners[left]]
    return result


@cache
def drawn_from(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The factors and terms of so many rounds."""
    factors = mixed(np.arange(1, count + 1, dtype=np.uint64) * _STEP) | np.uint64(1)
    return factors, mixed(factors)


def candidates(minima: NDArray[np.uint32], *, bands: int, floor: float, window: int) -> NDArray[np.int64]:
    """Pairs (smaller row first) that agree in all of one of `bands` parts of their signatures and in `floor` of the whole.

    Among rows that agree in a part, each is compared with the `window` rows after it, in the order they stand in.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in np.array_split(minima, bands, axis=1):
        found += [pairs[agreement(minima, pairs) >= floor] for pairs in pairs_of(band_key(band), window)]
    every = np.concatenate(found)
    return np.unique(every, axis=0) if len(every) else every


def agreement(minima: NDArray[np.uint32], pairs: NDArray[np.int64], *, batch: int = 1 << 16) -> NDArray[np.float64]:
    """The share of equal minima of each pair of rows."""
    result = np.empty(len(pairs), dtype=np.float64)
    for begin in range(0, len(pairs), batch):
        part = pairs[begin : begin + batch]
        result[begin : begin + batch] = (minima[part[:, 0]] == minima[part[:, 1]]).mean(axis=1)
    return result


def band_key(band: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """A number for each row of a part of the signatures: the same for the same part."""
    key = np.zeros(len(band), dtype=np.uint64)
    for column in band.T:
        key = mixed(key * _STEP + column)
    return key


def pairs_of(key: NDArray[np.uint64], window: int) -> Iterator[NDArray[np.int64]]:
    """Pairs of rows with one key, at most `window` apart in the order of those with it; those next to each other first."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    at = np.arange(len(key), dtype=np.int64)
    for distance in range(1, window + 1):
        at = at[at + distance < len(key)]
        at = at[ordered[at] == ordered[at + distance]]
        if not len(at):
            return
        # The sort is stable, so within one key the row that stands first is the smaller one.
        yield np.stack((order[at], order[at + distance]), axis=1)
