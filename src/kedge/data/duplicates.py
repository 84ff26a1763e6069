"""Finds rows that are nearly the same: by MinHash, and then by exact Jaccard similarity.

What is held of a row is the head of its cluster and four numbers of its signature at a time; texts are read again only
for pairs that may be near. The result does not depend on the order of the work, on batches or on processes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.data.arrays import strings, to_numpy
from kedge.data.columns import string_buffers
from kedge.data.keyed import INPUT_CHARS
from kedge.data.stage import Passed, RowStage, StoredRows
from kedge.data.types import DuplicateOptions, StageSpec
from kedge.text.minhash import agreement, band_key, candidates, pairs_of, signatures
from kedge.text.ragged import Ragged
from kedge.text.shingles import jaccard, shingle_sets, shingles

SIGNATURE = "_signature"
BANDS = 32
BAND_SIZE = 4
HASHES = BANDS * BAND_SIZE
WINDOW = 256
DOUBT = 0.2  # how far an estimate over all hashes may lie below the truth: five standard deviations at 0.7
AT_ONCE = 4  # bands that are compared in one pass over the signatures
BATCH = 20_000
APART = 1 << 18  # pairs that are remembered as not near: they share other bands too
PAIRS = 4096  # that are looked at at a time
HELD = 2 << 20  # characters of texts that are compared at a time
BLOCK = 1 << 14  # characters
# Bytes of texts in one process below which loading machine code costs more than it saves.
SIGNED_WORTHWHILE = 96 << 20
COMPARED_WORTHWHILE = 16 << 20
KERNELS = "kedge.text.compiled.shingles"

# For each row the one it is connected with, and pairs of rows that are not near.
Known = tuple[NDArray[np.int64], set[tuple[int, int]]]


def signature_stage(options: DuplicateOptions) -> StageSpec:
    """The stage that signs rows, to be opened where they are read."""
    return StageSpec(name="signatures", open="kedge.data.duplicates:open_signatures", options=options)


def open_signatures(options: DuplicateOptions) -> RowStage:
    """Appends the MinHash signature of each input."""
    sign = _word_signer(options) if options.unit == "words" else _character_signer(options)

    def append(batch: pa.RecordBatch) -> Passed:
        data = np.ascontiguousarray(sign(batch.column("input")), dtype="<u4")
        kind = pa.binary(4 * HASHES)
        column = pa.FixedSizeBinaryArray.from_buffers(kind, batch.num_rows, [None, pa.py_buffer(data.tobytes())])
        return Passed(batch=batch.append_column(pa.field(SIGNATURE, kind, nullable=False), column))

    return append


def find_clusters(rows: StoredRows, kept: NDArray[np.int64], options: DuplicateOptions) -> NDArray[np.int64]:
    """For each of the rows `kept` (ascending), the number of the head of its cluster: the row with the smallest id
    among the rows that near pairs connect it with."""
    if len(kept) < 2 or options.near >= 1:
        return kept
    roots, apart = np.arange(len(kept), dtype=np.int64), set[tuple[int, int]]()
    for first in range(0, BANDS, AT_ONCE):
        for keys in band_keys(rows, kept, range(first, first + AT_ONCE)):
            for pairs in pairs_of(keys, WINDOW):
                if len(pairs) > PAIRS:
                    settled = settle(roots)
                    pairs = pairs[settled[pairs[:, 0]] != settled[pairs[:, 1]]]
                for begin in range(0, len(pairs), PAIRS):
                    join(rows, kept, (roots, apart), pairs[begin : begin + PAIRS], options)
    return kept[smallest(rows, kept, settle(roots))]


def near_pairs(texts: Sequence[str], options: DuplicateOptions) -> NDArray[np.int64]:
    """Pairs of texts whose shingle sets have a Jaccard similarity of at least `options.near`.

    A pair at 0.8 is missed with a chance of 5 in 10**8; among more than 256 texts that share a band, one apart further
    than that in their order is only found through another band.
    """
    if len(texts) < 2 or options.near >= 1:
        return np.empty((0, 2), dtype=np.int64)
    sign = _word_signer(options) if options.unit == "words" else _character_signer(options)
    parts = [sign(strings(texts[at : at + BATCH])) for at in range(0, len(texts), BATCH)]
    pairs = candidates(np.concatenate(parts), bands=BANDS, floor=options.near - DOUBT, window=WINDOW)
    if not len(pairs):
        return pairs
    members, places = np.unique(pairs, return_inverse=True)
    return pairs[_similarities([texts[i] for i in members], places.reshape(-1, 2), options) >= options.near]


def _character_signer(options: DuplicateOptions) -> Callable[[pa.Array], NDArray[np.uint32]]:
    def sign(column: pa.Array) -> NDArray[np.uint32]:
        if _signed.is_worthwhile(column.nbytes):
            minima: NDArray[np.uint32] = _kernels().character_signatures(
                *string_buffers(column), options.shingle, HASHES
            )
            return minima
        parts = [signatures(shingles(texts, options.shingle), HASHES) for texts in _blocks(column.to_pylist())]
        return np.concatenate([np.empty((0, HASHES), dtype=np.uint32), *parts])

    return sign


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Texts of so many characters at a time that what is computed of them stays near the processor."""
    begin = size = 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= BLOCK:
            yield texts[begin : at + 1]
            begin, size = at + 1, 0
    if begin < len(texts):
        yield texts[begin:]


class _Meter:
    """How many bytes of texts this process has worked on: many small ones are worth machine code together."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._seen = 0

    def is_worthwhile(self, size: int) -> bool:
        """Whether so many more are enough for machine code, where there is any: it gives the same, several times as
        fast. What is loaded already costs nothing."""
        self._seen += size
        return KERNELS in sys.modules or (self._seen >= self._least and find_spec("numba") is not None)


_signed, _compared = _Meter(SIGNED_WORTHWHILE), _Meter(COMPARED_WORTHWHILE)


def _kernels() -> Any:
    return importlib.import_module(KERNELS)  # with numba, which not everybody has


def _word_signer(options: DuplicateOptions) -> Callable[[pa.Array], NDArray[np.uint32]]:
    kernels = _kernels()
    return lambda column: kernels.word_signatures(*string_buffers(column), options.shingle, HASHES)


def _similarities(texts: Sequence[str], pairs: NDArray[np.int64], options: DuplicateOptions) -> NDArray[np.float64]:
    """The exact similarity of pairs of these texts."""
    column = strings(texts)
    words = options.unit == "words"
    if words or _compared.is_worthwhile(column.nbytes):
        kernels = _kernels()
        cut = kernels.word_shingles if words else kernels.character_shingles
        sets: Ragged = cut(*string_buffers(column), options.shingle)
        exact: NDArray[np.float64] = kernels.similarities(sets, pairs[:, 0].copy(), pairs[:, 1].copy())
        return exact
    return jaccard(shingle_sets(texts, options.shingle), pairs[:, 0], pairs[:, 1])


def band_keys(rows: StoredRows, kept: NDArray[np.int64], bands: range) -> Iterator[NDArray[np.uint64]]:
    """For each of some bands a number a row that stands for its part of the signature."""
    keys = np.empty((len(bands), len(kept)), dtype=np.uint64)
    first = done = 0
    for batch in rows.scan([SIGNATURE]):
        last = int(np.searchsorted(kept, first + batch.num_rows))
        inside = kept[done:last] - first
        minima = minima_of(batch.column(SIGNATURE))[inside]
        for i, band in enumerate(bands):
            keys[i, done:last] = band_key(minima[:, band * BAND_SIZE : (band + 1) * BAND_SIZE])
        first, done = first + batch.num_rows, last
    yield from keys


def minima_of(column: pa.Array) -> NDArray[np.uint32]:
    """The signatures in a column: (rows, hashes)."""
    width = 4 * HASHES
    view = memoryview(column.buffers()[1])[column.offset * width : (column.offset + len(column)) * width]
    return np.frombuffer(view, dtype="<u4").reshape(-1, HASHES)


def join(
    rows: StoredRows,
    kept: NDArray[np.int64],
    known: Known,
    pairs: NDArray[np.int64],
    options: DuplicateOptions,
) -> None:
    """Connect those of the pairs that are near; what is connected already, or known to be apart, is not looked at."""
    roots, apart = known
    members, ends = _unknown(known, pairs)
    if not len(ends):
        return
    signed = rows.take(kept[members], [SIGNATURE]).column(SIGNATURE).combine_chunks()
    ends = ends[agreement(minima_of(_one(signed)), ends) >= options.near - DOUBT]
    members, ends = _only(members, ends)
    for part in _portions(rows, kept[members], ends):
        some, pairs = _unknown(known, members[part])
        if not len(pairs):
            continue
        texts = rows.take(kept[some], ["input"]).column("input").to_pylist()
        near = _similarities(texts, pairs, options) >= options.near
        for left, right in some[pairs[near]].tolist():
            a, b = _root(roots, left), _root(roots, right)
            roots[max(a, b)] = min(a, b)
        if len(apart) < APART:
            apart.update(map(tuple, some[pairs[~near]].tolist()))


def _unknown(known: Known, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of pairs of which nothing is known yet, and those pairs by their places among them."""
    roots, apart = known
    told = [(a, b) in apart or _root(roots, a) == _root(roots, b) for a, b in pairs.tolist()]
    members, places = np.unique(pairs[~np.array(told, dtype=bool)], return_inverse=True)
    return members, places.reshape(-1, 2)


def _portions(rows: StoredRows, members: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The pairs, as many at a time as have texts of a size to be held."""
    if len(ends):
        sizes = to_numpy(rows.take(members, [INPUT_CHARS]).column(INPUT_CHARS)).astype(np.int64)
        portion = np.cumsum(sizes[ends].sum(axis=1)) // HELD
        yield from np.split(ends, np.flatnonzero(np.diff(portion)) + 1)


def _only(members: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The members that some end names, and the ends by their places among those."""
    some, places = np.unique(ends, return_inverse=True)
    return members[some], places.reshape(-1, 2)


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _root(roots: NDArray[np.int64], i: int) -> int:
    while roots[i] != i:
        roots[i] = roots[roots[i]]
        i = int(roots[i])
    return i


def settle(roots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The root of every row."""
    settled = roots[roots]
    while (settled != roots).any():
        roots[:] = settled
        settled = roots[roots]
    return roots


def smallest(rows: StoredRows, kept: NDArray[np.int64], roots: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row the place of the smallest id among those with its root."""
    several = np.flatnonzero(np.bincount(roots)[roots] > 1)
    heads = np.arange(len(roots), dtype=np.int64)
    if len(several):
        ids = np.array(rows.take(kept[several], ["id"]).column("id").to_pylist())
        order = np.lexsort((ids, roots[several]))
        ranked = roots[several][order]
        first = np.ones(len(ranked), dtype=bool)
        first[1:] = ranked[1:] != ranked[:-1]
        heads[several[order]] = several[order][first][np.cumsum(first) - 1]
    return heads
