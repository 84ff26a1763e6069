"""Cuts English text into words the way spaCy does, as machine code.

A stretch between blanks loses what clings to its ends (`prefix_length`, `suffix_length`) until nothing does or the rest
is known (`special`); an address on the web stays whole; the rest is cut at joints such as hyphens between letters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.addresses import is_address
from kedge.text.compiled.jit import inner, short
from kedge.text.compiled.tables import (
    ALPHA,
    BEFORE_DOT,
    BEGINS,
    CURRENCY,
    DIGIT,
    GATE,
    GATE_MASK,
    ICON,
    JOINT,
    KEYS,
    LONGEST,
    LOWER,
    MASK,
    MENDED,
    PREFIX,
    QUOTE,
    SPACE,
    SPECIAL,
    SUFFIX,
    UNITS,
    UPPER,
    Rules,
    Text,
)

Numbers = NDArray[np.uint64]
# Where words begin and end, in the first two rows; the others are room for what is found out about one stretch.
Cuts = NDArray[np.int32]
Kinds = NDArray[np.uint32]
_CLINGING, _ENTRY, _SIZE, _TAKEN, _OLD_BEGIN, _OLD_END, _ROWS = range(2, 9)

# A stretch in which no character is of one of these classes is one word, unless it is known to be more.
_BUSY = np.uint32(PREFIX | SUFFIX | JOINT | DIGIT | QUOTE | CURRENCY | ICON)

BASE = np.uint64(0xD6E8FEB86659FD93)  # of the numbers that stand for words
_HASH_BASE = np.uint64(0x100000001B3)
_START = np.uint64(0xCBF29CE484222325)


def number_of(word: str) -> int:
    """The number that stands for a word: those of words one after the other make that of the whole."""
    value = 0
    for character in word:
        value = (value * int(BASE) + ord(character) + 1) % (1 << 64)
    return value


def room_for(length: int) -> tuple[Text, Cuts]:
    """Arrays for texts of at most so many characters."""
    return np.empty((2, length + 1), dtype=np.uint32), np.empty((_ROWS, length + 1), dtype=np.int32)


@inner
def decode(data: NDArray[np.uint8], begin: int, end: int, kind: Kinds, text: Text) -> int:
    """Valid UTF-8 as characters with their classes; how many."""
    count, at = 0, begin
    while at < end:
        first = np.uint32(data[at])
        if first < 0x80:
            text[0, count] = first
            at += 1
        elif first < 0xE0:
            text[0, count] = (first & 0x1F) << 6 | np.uint32(data[at + 1] & 0x3F)
            at += 2
        elif first < 0xF0:
            text[0, count] = (first & 0x0F) << 12 | np.uint32(data[at + 1] & 0x3F) << 6 | np.uint32(data[at + 2] & 0x3F)
            at += 3
        else:
            text[0, count] = (
                (first & 0x07) << 18
                | np.uint32(data[at + 1] & 0x3F) << 12
                | np.uint32(data[at + 2] & 0x3F) << 6
                | np.uint32(data[at + 3] & 0x3F)
            )
            at += 4
        text[1, count] = kind[text[0, count]] if text[0, count] < len(kind) else np.uint32(0)
        count += 1
    return count


@inner
def hashed(text: Text, begin: int, end: int) -> np.uint64:
    """The hash of a stretch, as `tables.hash_text` computes it."""
    value = _START
    for i in range(begin, end):
        value = (value ^ np.uint64(text[0, i])) * _HASH_BASE
    return value if value != 0 else np.uint64(1)


@short
def find(text: Text, begin: int, end: int, rules: Rules, table: int) -> int:
    """Where the table's entry for a stretch begins, or -1. Nearly all end at the gate."""
    size = end - begin
    if size > np.int64(rules[table + LONGEST]):
        return -1
    bit = (np.int64(text[0, begin]) * 131 + np.int64(text[0, end - 1]) * 31 + size) & GATE_MASK
    if not (rules[table + GATE + (bit >> 6)] >> np.uint64(bit & 63)) & np.uint64(1):
        return -1
    return _entry(text, begin, end, rules, table)


@inner
def _entry(text: Text, begin: int, end: int, rules: Rules, table: int) -> int:
    key = hashed(text, begin, end)
    mask = np.int64(rules[table + MASK])
    keys = np.int64(rules[table + KEYS])
    place = np.int64(key) & mask
    while rules[keys + 2 * place] != 0:
        if rules[keys + 2 * place] == key:
            return int(np.int64(rules[keys + 2 * place + 1]))
        place = (place + 1) & mask
    return -1


@short
def prefix_length(text: Text, begin: int, end: int) -> int:
    """How many characters cling to the beginning."""
    first = text[0, begin]
    if first == 43:  # a plus, unless it is the sign of a number
        return 0 if begin + 1 < end and text[1, begin + 1] & DIGIT else 1
    if text[1, begin] & PREFIX:
        return 1
    if first == 46:
        last = begin
        while last < end and text[0, last] == 46:
            last += 1
        return last - begin if last - begin > 1 else 0
    if end - begin > 1 and (first == 67 or first == 65) and text[0, begin + 1] == 36:  # C$, A$
        return 2
    if end - begin > 2 and first == 85 and text[0, begin + 1] == 83 and text[0, begin + 2] == 36:  # US$
        return 3
    return 0


@inner
def _dots_length(text: Text, begin: int, end: int) -> int:
    """How many dots cling to the end, of which there is at least one: several, or one behind what may end a sentence."""
    first = end
    while first > begin and text[0, first - 1] == 46:
        first -= 1
    if end - first > 1:
        return end - first
    if end - begin < 2:
        return 0
    if text[1, end - 2] & BEFORE_DOT:
        return 1
    if end - begin > 2 and text[1, end - 2] & UPPER and text[1, end - 3] & UPPER:
        return 1
    degrees = end - begin > 2 and text[0, end - 3] == 0xB0 and text[0, end - 2] in (70, 102, 67, 99, 75, 107)
    return 1 if degrees else 0


@inner
def _money_length(text: Text, begin: int, end: int) -> int:
    """How long the sign of a currency behind a number is."""
    if not text[1, end - 1] & CURRENCY or end - begin < 2:
        return 0
    if text[0, end - 1] == 36 and end - begin > 2:
        if text[0, end - 2] in (67, 65) and text[1, end - 3] & DIGIT:
            return 2
        if end - begin > 3 and text[0, end - 2] == 83 and text[0, end - 3] == 85 and text[1, end - 4] & DIGIT:
            return 3
    return 1 if text[1, end - 2] & DIGIT else 0


@inner
def suffix_length(text: Text, begin: int, end: int, digits: np.uint32, rules: Rules) -> int:
    """How many characters cling to the end: of all that do, the longest. A unit does behind a digit, if there are any."""
    if end <= begin:
        return 0
    last, length = text[0, end - 1], 0
    if text[1, end - 1] & SUFFIX:
        length = 2 if last == 0x2026 and end - begin > 1 and text[0, end - 2] == 0x2026 else 1
    elif last == 46:
        length = _dots_length(text, begin, end)
    elif last == 43 and end - begin > 1 and text[1, end - 2] & DIGIT:
        length = 1
    elif (last == 115 or last == 83) and end - begin > 1 and text[0, end - 2] in (0x27, 0x2019):
        length = 2
    length = max(length, _money_length(text, begin, end))
    if not digits:
        return length
    for size in range(1, min(int(np.int64(rules[UNITS + LONGEST])), end - begin - 1) + 1):
        if text[1, end - size - 1] & DIGIT:
            if find(text, end - size, end, rules, UNITS) >= 0:
                length = max(length, size)
            break
    return length


@inner
def _hyphens_length(text: Text, at: int, end: int) -> int:
    """How long a run of hyphens or dashes before a letter is, if it is short enough to join words."""
    point, size = text[0, at], 1
    while at + size < end and text[0, at + size] == point:
        size += 1
    longest = 3 if point == 45 else (2 if point == 0x2014 else 1)
    return size if size <= longest and at + size < end and text[1, at + size] & ALPHA else 0


@inner
def infix_length(text: Text, at: int, begin: int, end: int) -> int:
    """How long the joint is that begins here; 0 if there is none."""
    point = text[0, at]
    if point == 46 and at + 1 < end and text[0, at + 1] == 46:
        last = at
        while last < end and text[0, last] == 46:
            last += 1
        return last - at
    if point == 0x2026 or text[1, at] & ICON:
        return 1
    if at == begin or at + 1 >= end:
        return 0
    return _joint_length(text, at, end)


@inner
def _joint_length(text: Text, at: int, end: int) -> int:
    """How long the joint between two characters is."""
    point, before, after = text[0, at], text[1, at - 1], text[1, at + 1]
    joins = False
    if point in (43, 45, 42, 94) and before & DIGIT and (after & DIGIT or text[0, at + 1] == 45):
        joins = True
    elif point == 46:
        joins = bool(before & (LOWER | QUOTE) and after & (UPPER | QUOTE))
    elif point == 44:
        joins = bool(before & ALPHA and after & ALPHA)
    elif before & (ALPHA | DIGIT):
        if point in (45, 0x2013, 0x2014):
            return _hyphens_length(text, at, end)
        joins = bool(point in (58, 60, 62, 61, 47, 0x7E) and after & ALPHA)
    return 1 if joins else 0


@short
def _emit(cuts: Cuts, count: int, begin: int, end: int) -> int:
    cuts[0, count] = begin
    cuts[1, count] = end
    return count + 1


@inner
def _emit_entry(rules: Rules, entry: int, cuts: Cuts, count: int, begin: int) -> int:
    for i in range(np.int64(rules[entry])):
        size = int(np.int64(rules[entry + 1 + i]))
        count = _emit(cuts, count, begin, begin + size)
        begin += size
    return count


@inner
def _cut_inside(text: Text, begin: int, end: int, cuts: Cuts, count: int) -> int:
    """What is left when nothing clings to the ends any more."""
    every = np.uint32(0)
    for at in range(begin, end):
        every |= text[1, at]
    if not every & JOINT or is_address(text, begin, end):
        return _emit(cuts, count, begin, end)
    return _cut_joints(text, begin, end, cuts, count)


@inner
def _cut_joints(text: Text, begin: int, end: int, cuts: Cuts, count: int) -> int:
    start, at = begin, begin
    while at < end:
        size = infix_length(text, at, begin, end) if text[1, at] & JOINT else 0
        if size == 0:
            at += 1
            continue
        if at != begin:  # a joint at the very beginning stays where it is
            if at != start:
                count = _emit(cuts, count, start, at)
            count = _emit(cuts, count, at, at + size)
            start = at + size
        at += size
    return _emit(cuts, count, start, end) if start < end else count


@inner
def cut_stretch(text: Text, begin: int, end: int, every: np.uint32, rules: Rules, cuts: Cuts, count: int) -> int:
    """The words of one stretch without blanks, appended to the `count` that are there; how many there are now.

    `every` are the classes of all its characters.
    """
    first, depth, last, digits = count, 0, -1, every & DIGIT
    entry = find(text, begin, end, rules, SPECIAL)
    while entry < 0 and end > begin and end - begin != last and depth < cuts.shape[1]:
        last = end - begin
        before = prefix_length(text, begin, end)
        if before and begin + before < end:
            entry = find(text, begin + before, end, rules, SPECIAL)
            if entry >= 0:
                count = _emit(cuts, count, begin, begin + before)
                begin += before
                break
        after = suffix_length(text, begin + before, end, digits, rules)
        if after and end - after > begin:
            entry = find(text, begin, end - after, rules, SPECIAL)
            if entry >= 0:
                cuts[_CLINGING, depth] = after
                depth += 1
                end -= after
                break
        if before:
            count = _emit(cuts, count, begin, begin + before)
            begin += before
        if after:
            cuts[_CLINGING, depth] = after
            depth += 1
            end -= after
        if before and after and end > begin:
            entry = find(text, begin, end, rules, SPECIAL)
    if entry >= 0:
        count = _emit_entry(rules, entry, cuts, count, begin)
    elif end > begin:
        count = _cut_inside(text, begin, end, cuts, count)
    for i in range(depth - 1, -1, -1):
        count = _emit(cuts, count, end, end + cuts[_CLINGING, i])
        end += cuts[_CLINGING, i]
    return _mended(text, rules, cuts, first, count)


@short
def _may_begin(text: Text, at: int, rules: Rules) -> np.uint64:
    """Whether something that is put together again begins with these two characters."""
    first, second = min(text[0, at], np.uint32(127)), min(text[0, at + 1], np.uint32(127))
    return np.uint64((rules[BEGINS + 2 * first + (second >> 6)] >> np.uint64(second & 63)) & np.uint64(1))


@inner
def _mended(text: Text, rules: Rules, cuts: Cuts, first: int, count: int) -> int:
    """What was cut but belongs together, such as `:-)`, put together again: the longest first, then from the left."""
    most = 0
    for i in range(first, count - 1):
        if _may_begin(text, cuts[0, i], rules):
            last = i + 1
            while last < count and cuts[1, last] - cuts[0, i] <= np.int64(rules[MENDED + LONGEST]):
                last += 1
            most = max(most, last - i)
    for length in range(most, 1, -1):
        for i in range(first, count - length + 1):
            if _joined(text, rules, cuts, i, i + length) >= 0:
                return _mend(text, rules, cuts, first, count, length)
    return count


@inner
def _joined(text: Text, rules: Rules, cuts: Cuts, first: int, last: int) -> int:
    """The entry of what these words are together, or -1."""
    if not _may_begin(text, cuts[0, first], rules):
        return -1
    entry = find(text, cuts[0, first], cuts[1, last - 1], rules, MENDED)
    return entry if entry >= 0 and _is_cut(rules, entry, cuts, first, last) else -1


@inner
def _mend(text: Text, rules: Rules, cuts: Cuts, first: int, count: int, most: int) -> int:
    """Put together what belongs together, of which something does: at most so many words each."""
    for i in range(first, count):
        cuts[_ENTRY, i], cuts[_SIZE, i], cuts[_TAKEN, i] = -1, 1, 0
        cuts[_OLD_BEGIN, i], cuts[_OLD_END, i] = cuts[0, i], cuts[1, i]
    for length in range(most, 1, -1):
        for i in range(first, count - length + 1):
            entry = _joined(text, rules, cuts, i, i + length)
            if entry < 0:
                continue
            if not (cuts[_TAKEN, i] or cuts[_TAKEN, i + length - 1]):
                cuts[_ENTRY, i], cuts[_SIZE, i] = entry, length
            for j in range(i, i + length):
                cuts[_TAKEN, j] = 1
    return _put_together(rules, cuts, first, count)


@inner
def _put_together(rules: Rules, cuts: Cuts, first: int, last: int) -> int:
    count, i = first, first
    while i < last:
        if cuts[_ENTRY, i] >= 0:
            count = _emit_entry(rules, cuts[_ENTRY, i], cuts, count, cuts[_OLD_BEGIN, i])
        else:
            count = _emit(cuts, count, cuts[_OLD_BEGIN, i], cuts[_OLD_END, i])
        i += cuts[_SIZE, i]
    return count


@inner
def _is_cut(rules: Rules, entry: int, cuts: Cuts, first: int, last: int) -> bool:
    """Whether these words are those that the entry is cut into."""
    other = entry + 1 + np.int64(rules[entry])
    if rules[other] != last - first:
        return False
    for i in range(first, last):  # noqa: SIM110 - kernels have no generators
        if cuts[1, i] - cuts[0, i] != rules[other + 1 + i - first]:
            return False
    return True


@inner
def cut(text: Text, begin: int, end: int, rules: Rules, cuts: Cuts) -> int:
    """The words of a text into `cuts`; how many there are."""
    count, at = 0, begin
    while at < end:
        while at < end and text[1, at] & SPACE:
            at += 1
        stop, every = at, np.uint32(0)
        while stop < end and not text[1, stop] & SPACE:
            every |= text[1, stop]
            stop += 1
        if stop > at:
            if every & _BUSY or find(text, at, stop, rules, SPECIAL) >= 0:
                count = cut_stretch(text, at, stop, every, rules, cuts, count)
            else:
                count = _emit(cuts, count, at, stop)
        at = stop
    return count
