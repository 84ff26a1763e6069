"""Runs of words as numbers, their MinHash signatures and their similarity, as machine code.

A word here is a run of letters and digits, with the accents and vowel signs on them, in folded case: punctuation, blanks
and case make no difference. A text of fewer words than a shingle has is one shingle; one without a word is one shingle
of its characters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.jit import compiled, inner
from kedge.text.compiled.tables import ALNUM, FOLD_BITS, SPELLED, Text, load_tables
from kedge.text.compiled.words import Kinds, decode
from kedge.text.minhash import EMPTY, drawn_from
from kedge.text.ragged import Ragged

Numbers = NDArray[np.uint64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xD6E8FEB86659FD93)
_FOLD_STEP, _FOLD_MASK = np.uint64(FOLD_BITS), np.uint64((1 << FOLD_BITS) - 1)


def word_shingles(data: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> Ragged:
    """The distinct shingles of each text of an Arrow column of strings, ascending within a text."""
    tables, longest = load_tables(), int(np.diff(offsets).max(initial=0))
    text, words = np.empty((2, longest + 1), dtype=np.uint32), np.empty(longest + 1, dtype=np.uint64)
    starts = np.zeros(len(offsets), dtype=np.int64)
    values = np.empty(int(offsets[-1] - offsets[0]) + len(offsets), dtype=np.uint64)
    count = _shingle_all(data, offsets, width, (tables.kind, tables.folded), text, words, values, starts)
    return Ragged(values[:count].copy(), starts)


def word_signatures(data: NDArray[np.uint8], offsets: NDArray[np.int64], width: int, hashes: int) -> NDArray[np.uint32]:
    """One row of `hashes` minima for each text of an Arrow column of strings."""
    tables, longest = load_tables(), int(np.diff(offsets).max(initial=0))
    text, words = np.empty((2, longest + 1), dtype=np.uint32), np.empty(longest + 1, dtype=np.uint64)
    result = np.empty((len(offsets) - 1, hashes), dtype=np.uint32)
    _sign_all(data, offsets, width, (tables.kind, tables.folded), text, words, drawn_from(2 * hashes), result)
    return result


def character_shingles(data: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> Ragged:
    """The distinct runs of `width` characters of each text, ascending within a text: those of `text.shingles`."""
    tables, longest = load_tables(), int(np.diff(offsets).max(initial=0))
    text = np.empty((2, max(longest, width) + 1), dtype=np.uint32)
    starts = np.zeros(len(offsets), dtype=np.int64)
    values = np.empty(int(offsets[-1] - offsets[0]) + len(offsets), dtype=np.uint64)
    count = _run_all(data, offsets, width, tables.kind, text, values, starts)
    return Ragged(values[:count].copy(), starts)


def character_signatures(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], width: int, hashes: int
) -> NDArray[np.uint32]:
    """One row of `hashes` minima for each text: those of `text.minhash`."""
    tables, longest = load_tables(), int(np.diff(offsets).max(initial=0))
    text = np.empty((2, max(longest, width) + 1), dtype=np.uint32)
    values = np.empty(max(longest, width) + 1, dtype=np.uint64)
    result = np.empty((len(offsets) - 1, hashes), dtype=np.uint32)
    _sign_runs(data, offsets, width, tables.kind, text, values, drawn_from(2 * hashes), result)
    return result


def similarities(sets: Ragged, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """The exact Jaccard similarity of set `left[i]` and set `right[i]`; the members of a set are ascending."""
    return _jaccard(sets.values, sets.starts, left, right)


@inner
def _shingles_of(
    text: Text, size: int, width: int, folded: Numbers, words: Numbers, values: Numbers, count: int
) -> int:
    """Append the shingles of one text, with repeats; how many numbers there are then."""
    found, at = 0, 0
    while at < size:
        while at < size and not text[1, at] & ALNUM:
            at += 1
        if at == size:
            break
        value = _FACTOR
        while at < size and text[1, at] & SPELLED:
            form = folded[text[0, at]]
            while True:
                value = (value ^ (form & _FOLD_MASK)) * _BASE
                value ^= value >> np.uint64(29)
                form >>= _FOLD_STEP
                if form == 0:
                    break
            at += 1
        words[found] = value
        found += 1
    if found == 0:
        for i in range(size):
            words[i] = np.uint64(text[0, i])
        found, width = size, size
    width = min(width, found)
    for i in range(found - width + 1):
        value = _FACTOR
        for j in range(i, i + width):
            value = (value ^ words[j]) * _BASE
            value ^= value >> np.uint64(32)
        values[count] = value
        count += 1
    return count


@compiled
def _shingle_all(  # noqa: PLR0913 - the arrays of a kernel
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    width: int,
    tables: tuple[Kinds, Numbers],
    text: Text,
    words: Numbers,
    values: Numbers,
    starts: NDArray[np.int64],
) -> int:
    count = 0
    for i in range(len(offsets) - 1):
        size = decode(data, offsets[i], offsets[i + 1], tables[0], text)
        first = count
        last = _shingles_of(text, size, width, tables[1], words, values, first)
        values[first:last].sort()
        count = _distinct(values, first, last)
        starts[i + 1] = count
    return count


@compiled
def _sign_all(  # noqa: PLR0913 - the arrays of a kernel
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    width: int,
    tables: tuple[Kinds, Numbers],
    text: Text,
    words: Numbers,
    draws: tuple[Numbers, Numbers],
    result: NDArray[np.uint32],
) -> None:
    values, fresh = np.empty(len(words) + 1, dtype=np.uint64), np.empty(result.shape[1], dtype=np.uint32)
    for i in range(len(offsets) - 1):
        size = decode(data, offsets[i], offsets[i + 1], tables[0], text)
        count = _shingles_of(text, size, width, tables[1], words, values, 0)
        _sign(values, count, draws[0], draws[1], fresh, result[i])


@inner
def _sign(
    values: Numbers, count: int, factors: Numbers, terms: Numbers, fresh: NDArray[np.uint32], row: NDArray[np.uint32]
) -> None:
    """The minima of one text: those of `text.minhash.signatures`."""
    hashes = len(row)
    bits = np.uint64(0)
    while 1 << bits < hashes:
        bits += np.uint64(1)
    row[:] = EMPTY
    for number in range(2 * hashes):
        factor, term = factors[number], terms[number]
        fresh[:] = EMPTY
        for j in range(count):
            drawn = values[j] * factor + term
            at = np.int64(drawn >> (np.uint64(64) - bits)) if number < hashes else number - hashes
            fresh[at] = min(fresh[at], np.uint32((drawn << bits) >> np.uint64(32)))
        left = 0
        for k in range(hashes):
            if row[k] == EMPTY:
                row[k] = fresh[k]
                left += fresh[k] == EMPTY
        if left == 0:
            break


@inner
def _runs_of(text: Text, size: int, width: int, values: Numbers, count: int) -> int:
    """Append the runs of characters of one text, with repeats; how many numbers there are then."""
    while size < width:
        text[0, size] = 0
        size += 1
    total, power = np.uint64(0), np.uint64(1)
    for j in range(width):
        total = total * _FACTOR + np.uint64(text[0, j])
        power *= _FACTOR
    for i in range(size - width + 1):
        value = (total ^ (total >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        values[count + i] = value ^ (value >> np.uint64(31))
        if i + width < size:
            total = total * _FACTOR + np.uint64(text[0, i + width]) - power * np.uint64(text[0, i])
    return count + size - width + 1


@compiled
def _run_all(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    width: int,
    kind: Kinds,
    text: Text,
    values: Numbers,
    starts: NDArray[np.int64],
) -> int:
    count = 0
    for i in range(len(offsets) - 1):
        size = decode(data, offsets[i], offsets[i + 1], kind, text)
        last = _runs_of(text, size, width, values, count)
        values[count:last].sort()
        count = _distinct(values, count, last)
        starts[i + 1] = count
    return count


@inner
def _distinct(values: Numbers, first: int, last: int) -> int:
    """Leave out what stands next to its like; where the others end then."""
    count = first
    for at in range(first, last):
        if at == first or values[at] != values[count - 1]:
            values[count] = values[at]
            count += 1
    return count


@compiled
def _sign_runs(  # noqa: PLR0913 - the arrays of a kernel
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    width: int,
    kind: Kinds,
    text: Text,
    values: Numbers,
    draws: tuple[Numbers, Numbers],
    result: NDArray[np.uint32],
) -> None:
    fresh = np.empty(result.shape[1], dtype=np.uint32)
    for i in range(len(offsets) - 1):
        size = decode(data, offsets[i], offsets[i + 1], kind, text)
        _sign(values, _runs_of(text, size, width, values, 0), draws[0], draws[1], fresh, result[i])


@compiled
def _jaccard(
    values: Numbers, starts: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    result = np.empty(len(left), dtype=np.float64)
    for i in range(len(left)):
        a, b = starts[left[i]], starts[right[i]]
        end_a, end_b = starts[left[i] + 1], starts[right[i] + 1]
        sizes, shared = end_a - a + end_b - b, 0
        while a < end_a and b < end_b:
            first, second = values[a], values[b]
            shared += first == second
            a += first <= second
            b += second <= first
        result[i] = shared / (sizes - shared) if sizes > shared else 1.0
    return result
