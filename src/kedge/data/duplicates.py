"""Finds rows that are nearly the same: by MinHash, and then by exact Jaccard similarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedge.data.stage import StoredRows
from kedge.data.types import DuplicateOptions
from kedge.text.minhash import candidates, signatures
from kedge.text.shingles import jaccard, shingle_sets, shingles

BANDS = 32
BAND_SIZE = 4
WINDOW = 256
DOUBT = 0.2  # how far an estimate over all hashes may lie below the truth: five and a half standard deviations at 0.8
BATCH = 20_000


def find_clusters(rows: StoredRows, kept: NDArray[np.int64], options: DuplicateOptions) -> NDArray[np.int64]:
    """For each of the rows `kept` (ascending), the number of the head of its cluster: the row with the smallest id
    among the rows that near pairs connect it with."""
    table = rows.take(kept, ["id", "input"])
    ids, texts = table.column("id").to_pylist(), table.column("input").to_pylist()
    heads = list(range(len(kept)))
    for left, right in near_pairs(texts, options).tolist():
        a, b = _head(heads, left), _head(heads, right)
        if a != b:
            first, second = sorted((a, b), key=lambda i: ids[i])
            heads[second] = first
    return kept[[_head(heads, i) for i in range(len(kept))]] if len(kept) else kept


def near_pairs(texts: Sequence[str], options: DuplicateOptions) -> NDArray[np.int64]:
    """Pairs of texts whose shingle sets have a Jaccard similarity of at least `options.near`.

    A pair at 0.8 is missed with a chance of 5 in 10**8; among more than 256 texts that share a band, one apart further
    than that in their order is only found through another band.
    """
    if len(texts) < 2 or options.near >= 1:
        return np.empty((0, 2), dtype=np.int64)
    parts = [
        signatures(shingles(texts[at : at + BATCH], options.shingle), BANDS * BAND_SIZE)
        for at in range(0, len(texts), BATCH)
    ]
    pairs = candidates(np.concatenate(parts), bands=BANDS, floor=options.near - DOUBT, window=WINDOW)
    if not len(pairs):
        return pairs
    members, places = np.unique(pairs, return_inverse=True)
    sets = shingle_sets([texts[i] for i in members], options.shingle)
    ends = places.reshape(-1, 2)
    return pairs[jaccard(sets, ends[:, 0], ends[:, 1]) >= options.near]


def _head(heads: list[int], i: int) -> int:
    while heads[i] != i:
        heads[i] = heads[heads[i]]
        i = heads[i]
    return i
