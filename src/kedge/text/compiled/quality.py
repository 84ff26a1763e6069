"""Counts by which texts are judged: those of Gopher, C4 and FineWeb, in one pass over a batch, as machine code.

Each row of the result is one text, each column a count (`COUNTS`). Rules and their thresholds are elsewhere: they read
these columns, so that they can be changed without reading a text again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.columns import (
    ALPHA_WORDS,
    CHARS,
    COUNTS,
    ELLIPSES,
    HASHES,
    NEWLINES,
    PLAIN_CHARS,
    PLAIN_WORDS,
    STOP_WORDS,
    WORDS,
)
from kedge.text.compiled.jit import compiled, inner
from kedge.text.compiled.lines import count_lines
from kedge.text.compiled.repeats import Room, count_grams, count_repeats, room_for_repeats
from kedge.text.compiled.tables import LETTER, MARK, SYMBOL, Rules, Text, load_tables
from kedge.text.compiled.words import BASE, Cuts, Kinds, Numbers, cut, decode, number_of, room_for

_STOPS = np.array([number_of(w) for w in ("the", "be", "to", "of", "and", "that", "have", "with")], dtype=np.uint64)


def count_batch(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """The counts of each text of an Arrow column of strings: its bytes, and where each text begins."""
    tables = load_tables()
    longest = int(np.diff(offsets).max(initial=0))
    result = np.zeros((len(offsets) - 1, len(COUNTS)), dtype=np.int32)
    rooms = room_for(longest), room_for(longest), room_for_repeats(longest)
    _count_all(data, offsets, (tables.kind, tables.rules), *rooms, result)
    return result


@compiled
def _count_all(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    tables: tuple[Kinds, Rules],
    whole: tuple[Text, Cuts],
    part: tuple[Text, Cuts],
    room: Room,
    result: NDArray[np.int32],
) -> None:
    kind, rules = tables
    text, cuts = whole
    for i in range(len(offsets) - 1):
        size = decode(data, offsets[i], offsets[i + 1], kind, text)
        words = cut(text, 0, size, rules, cuts)
        row = result[i]
        row[CHARS], row[WORDS] = size, words
        _count_words(text, cuts, words, room.keys, row)
        _count_marks(text, size, row)
        count_lines(text, size, words, rules, cuts, part, row)
        stamp = np.uint64(i * 16 + 1)
        count_repeats(text, size, room, stamp, row)
        count_grams(cuts, words, room, stamp + np.uint64(2), row)


@inner
def _count_words(text: Text, cuts: Cuts, words: int, keys: Numbers, row: NDArray[np.int32]) -> None:
    """What single words say; the number of each word is put into `keys`."""
    plain, chars, alpha, stops = 0, 0, 0, 0
    for i in range(words):
        begin, end = cuts[0, i], cuts[1, i]
        some, every, key = np.uint32(0), np.uint32(SYMBOL), np.uint64(0)
        for at in range(begin, end):
            some |= text[1, at]
            every &= text[1, at]
            key = key * BASE + np.uint64(text[0, at]) + np.uint64(1)
        keys[i] = key
        if not every:
            plain += 1
            chars += end - begin
        if some & LETTER:
            alpha += 1
            if 2 <= end - begin <= 4:
                for j in range(len(_STOPS)):
                    if _STOPS[j] == key:
                        stops |= 1 << j
    row[PLAIN_WORDS], row[PLAIN_CHARS], row[ALPHA_WORDS] = plain, chars, alpha
    while stops:
        row[STOP_WORDS] += stops & 1
        stops >>= 1


@inner
def _count_marks(text: Text, size: int, row: NDArray[np.int32]) -> None:
    dots, last = 0, -1
    for at in range(size):
        if not text[1, at] & MARK:
            continue
        point = text[0, at]
        if point == 46:
            dots = dots + 1 if last == at - 1 else 1
            last = at
            if dots == 3:
                row[ELLIPSES] += 1
                dots = 0
        elif point == 35:
            row[HASHES] += 1
        elif point == 10:
            row[NEWLINES] += 1
        else:
            row[ELLIPSES] += 1
