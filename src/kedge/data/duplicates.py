"""Finds rows that are the same, or nearly: exact by digest, near by MinHash and then by exact Jaccard similarity."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Row, Split
from kedge.data.rows import drop
from kedge.data.types import Cleaned, DuplicateOptions
from kedge.text.minhash import candidates, signatures
from kedge.text.shingles import jaccard, shingle_sets, shingles

BANDS = 32
BAND_SIZE = 4
WINDOW = 256
DOUBT = 0.2  # how far an estimate over all hashes may lie below the truth: five and a half standard deviations at 0.8
BATCH = 20_000


def drop_exact(cleaned: Cleaned, splits: Sequence[Split]) -> Cleaned:
    """One row of each input and target: a training one if there is one, and of those the one with the smallest id."""
    best: dict[bytes, int] = {}
    keys = [_content(row) for row in cleaned.rows]
    rank = [(split is not Split.TRAIN, row.id) for row, split in zip(cleaned.rows, splits, strict=True)]
    for i, key in enumerate(keys):
        if key not in best or rank[i] < rank[best[key]]:
            best[key] = i
    rejects = list(cleaned.rejects)
    rows = []
    for i, (row, key) in enumerate(zip(cleaned.rows, keys, strict=True)):
        if best[key] == i:
            rows.append(row)
        else:
            rejects.append(drop(row, "duplicate:exact", f"the same as {cleaned.rows[best[key]].id}"))
    return Cleaned(rows=rows, rejects=rejects)


def cluster_near(cleaned: Cleaned, options: DuplicateOptions) -> Cleaned:
    """The rows with the cluster of each: the smallest row id among the rows that near pairs connect it with."""
    rows = cleaned.rows
    heads = list(range(len(rows)))
    for left, right in near_pairs([row.input for row in rows], options).tolist():
        a, b = _head(heads, left), _head(heads, right)
        if a != b:
            first, second = sorted((a, b), key=lambda i: rows[i].id)
            heads[second] = first
    clusters = [rows[_head(heads, i)].id for i in range(len(rows))]
    found = Cleaned(rows=rows, rejects=cleaned.rejects, clusters=clusters)
    return _drop_near(found) if options.drop_near else found


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


def _drop_near(cleaned: Cleaned) -> Cleaned:
    rejects = list(cleaned.rejects)
    rows = []
    for row, cluster in zip(cleaned.rows, cleaned.clusters, strict=True):
        if row.id == cluster:
            rows.append(row)
        else:
            rejects.append(drop(row, "duplicate:near", f"near {cluster}"))
    return Cleaned(rows=rows, rejects=rejects, clusters=[row.id for row in rows])


def _content(row: Row) -> bytes:
    hasher = hashlib.sha256(row.input.encode())
    hasher.update(b"\0")
    hasher.update(row.target.encode())
    return hasher.digest()


def _head(heads: list[int], i: int) -> int:
    while heads[i] != i:
        heads[i] = heads[heads[i]]
        i = heads[i]
    return i
