"""What occurs again in a text: paragraphs, lines and runs of words, as machine code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.columns import (
    DUP_5,
    DUP_LINE_CHARS,
    DUP_PARAGRAPH_CHARS,
    DUP_PARAGRAPHS,
    DUP_RUN_CHARS,
    DUP_RUNS,
    ENDED_LINES,
    FULL_LINES,
    NEWLINES,
    PARAGRAPHS,
    RUNS,
    SHORT_LINES,
    TOP_2,
)
from kedge.text.compiled.jit import inner, short
from kedge.text.compiled.tables import SPACE, TERMINAL, Text
from kedge.text.compiled.words import BASE, Cuts, Numbers

SHORT = 30  # characters of a line that FineWeb calls short
_POWERS = 1 << 12
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Room(NamedTuple):
    """What one text is measured in.

    `seen` is a table of numbers and the stamp under which they were put there, one at a time; `tally` how often each
    occurred and where first. `keys` are the numbers of the words, `sums` those of all words so far, `grams` those of runs of words;
    `sizes` the characters of all words so far, and which runs of words occur again. `powers` are those of `BASE`.
    """

    seen: Numbers
    tally: NDArray[np.int32]
    keys: Numbers
    sums: Numbers
    grams: Numbers
    sizes: NDArray[np.int32]
    powers: Numbers


def room_for_repeats(length: int) -> Room:
    """Arrays for texts of at most so many characters. Only what is used of them takes memory."""
    size = 1 << max(6, (2 * length + 3).bit_length())
    powers = np.full(_POWERS, BASE, dtype=np.uint64)
    powers[0] = 1
    return Room(
        seen=np.zeros((size, 2), dtype=np.uint64),
        tally=np.empty((size, 2), dtype=np.int32),
        keys=np.empty(length + 1, dtype=np.uint64),
        sums=np.empty(length + 1, dtype=np.uint64),
        grams=np.empty(length + 1, dtype=np.uint64),
        sizes=np.empty((2, length + 1), dtype=np.int32),
        powers=np.multiply.accumulate(powers),
    )


@short
def _mask(count: int) -> int:
    """Of a table with room for so many."""
    mask = 63
    while mask < 2 * count:
        mask = 2 * mask + 1
    return mask


@short
def _is_new(seen: Numbers, mask: int, stamp: np.uint64, key: np.uint64) -> bool:
    """Whether a key has not been put under this stamp before; it is from now on."""
    place = np.int64((key * _FACTOR) >> np.uint64(20)) & mask
    while seen[place, 1] == stamp:
        if seen[place, 0] == key:
            return False
        place = (place + 1) & mask
    seen[place, 0], seen[place, 1] = key, stamp
    return True


@short
def _mix(value: np.uint64, point: np.uint64) -> np.uint64:
    value = (value ^ point) * BASE
    return value ^ (value >> np.uint64(29))


@inner
def _number(text: Text, begin: int, end: int) -> np.uint64:
    """A number for a stretch of text, of three characters at a time."""
    value, at = _FACTOR, begin
    while at + 3 <= end:
        pair = np.uint64(text[0, at]) | np.uint64(text[0, at + 1]) << np.uint64(21)
        value = _mix(value, pair | np.uint64(text[0, at + 2]) << np.uint64(42))
        at += 3
    rest = np.uint64(end - begin) << np.uint64(42)
    while at < end:
        rest = rest ^ np.uint64(text[0, at]) << np.uint64(21 * (end - at - 1))
        at += 1
    return _mix(value, rest)


@inner
def count_repeats(text: Text, size: int, room: Room, stamp: np.uint64, row: NDArray[np.int32]) -> None:
    """Paragraphs, runs of lines and lines that were there before.

    Two stamps are taken. A run ends with the newlines behind it: there is one before newlines at the very beginning.
    """
    first, last = 0, size
    while first < last and text[1, first] & SPACE:
        first += 1
    while last > first and text[1, last - 1] & SPACE:
        last -= 1
    mask, paragraphs = _mask(row[NEWLINES] + 1), 0
    begin, opened, value = 0, -1, _FACTOR  # where the paragraph begins, if one has, and the number of its lines so far
    while begin <= size:
        end, blank = begin, np.uint32(SPACE)
        while end < size and text[0, end] != 10:
            blank &= text[1, end]
            end += 1
        if begin < end:
            key = _number(text, begin, end)
            again = not _is_new(room.seen, mask, stamp, key)
            _count_line(text, begin, end, not blank, again, row)
            if first < end and begin < last:
                inside = begin >= first and end <= last
                value = _mix(value, key if inside else _number(text, max(begin, first), min(end, last)))
                opened = max(begin, first) if opened < 0 else opened
        if opened >= 0 and (begin == end or end >= last):
            room.grams[paragraphs] = value
            room.sizes[0, paragraphs] = (min(end, last) if begin < end else begin - 1) - opened
            paragraphs += 1
            opened, value = -1, _FACTOR
        begin = end + 1
    for i in range(paragraphs):  # later: the table knows one stamp at a time
        if not _is_new(room.seen, mask, stamp + np.uint64(1), room.grams[i]):
            row[DUP_PARAGRAPHS] += 1
            row[DUP_PARAGRAPH_CHARS] += room.sizes[0, i]
    row[PARAGRAPHS] = max(paragraphs, 1)
    _count_ends(text, size, row)


@short
def _count_line(text: Text, begin: int, end: int, full: bool, again: bool, row: NDArray[np.int32]) -> None:
    row[RUNS] += 1
    if again:
        row[DUP_RUNS] += 1
        row[DUP_RUN_CHARS] += end - begin
    if full:
        row[FULL_LINES] += 1
        row[ENDED_LINES] += text[1, end - 1] & TERMINAL != 0
        row[SHORT_LINES] += end - begin <= SHORT
        if again:
            row[DUP_LINE_CHARS] += end - begin


@inner
def _count_ends(text: Text, size: int, row: NDArray[np.int32]) -> None:
    """The empty runs before and behind all others."""
    before = size == 0 or text[0, 0] == 10
    behind = size > 0 and text[0, size - 1] == 10
    row[RUNS] += before + behind
    row[DUP_RUNS] += before and behind


@short
def _power(powers: Numbers, exponent: int) -> np.uint64:
    value = np.uint64(1)
    while exponent >= len(powers):
        value *= powers[len(powers) - 1]
        exponent -= len(powers) - 1
    result: np.uint64 = value * powers[exponent]
    return result


@inner
def count_grams(cuts: Cuts, words: int, room: Room, stamp: np.uint64, row: NDArray[np.int32]) -> None:
    """Characters of the most frequent 2-, 3- and 4-grams of words, and of 5- to 10-grams that were there before.

    Eleven stamps are taken.
    """
    sums, lengths = room.sums, room.sizes[0]
    sums[0], lengths[0] = 0, 0
    for i in range(words):
        size = cuts[1, i] - cuts[0, i]
        sums[i + 1] = sums[i] * _power(room.powers, size) + room.keys[i]
        lengths[i + 1] = lengths[i] + size
        room.grams[i] = _mix(np.uint64(0), room.keys[i])
        room.sizes[1, i] = 1
    mask = _mask(words)
    for n in range(2, min(words, 4) + 1):
        row[TOP_2 + n - 2] = _top_gram(words, n, room, mask, stamp + np.uint64(n))
    for n in range(5, 11):  # where no 5-gram occurs twice, no longer one does
        repeated, i = 0, 0
        while i + n <= words:
            size = lengths[i + n] - lengths[i]
            key = sums[i + n] - sums[i] * _power(room.powers, size)
            if _is_new(room.seen, mask, stamp + np.uint64(n), key):
                i += 1
            else:
                repeated += size
                i += n
        row[DUP_5 + n - 5] = repeated
        if repeated == 0:
            break


@inner
def _top_gram(words: int, n: int, room: Room, mask: int, stamp: np.uint64) -> int:
    """The length of the most frequent n-gram, blanks between its words counted, times how often it occurs.

    It is the first of several. Only what begins and ends with (n - 1)-grams that occur again can occur again.
    """
    grams, seen, tally, again = room.grams, room.seen, room.tally, room.sizes[1]
    best, top = 1, 0
    for i in range(words - n + 1):
        if not (again[i] and again[i + 1]):
            again[i] = 0
            continue
        again[i] = 0
        key = _mix(grams[i], room.keys[i + n - 1])
        grams[i] = key
        place = np.int64((key * _FACTOR) >> np.uint64(20)) & mask
        while seen[place, 1] == stamp and seen[place, 0] != key:
            place = (place + 1) & mask
        if seen[place, 1] != stamp:
            seen[place, 0], seen[place, 1] = key, stamp
            tally[place, 0], tally[place, 1] = 1, i
            continue
        tally[place, 0] += 1
        count, first = tally[place, 0], tally[place, 1]
        again[i], again[first] = 1, 1
        if count > best or (count == best and first < top):
            best, top = count, first
    return best * int(room.sizes[0, top + n] - room.sizes[0, top] + n - 1)
