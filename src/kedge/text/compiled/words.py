"""Cuts English text into words the way spaCy does, as machine code.

A stretch between blanks loses what clings to its ends (`prefix_length`, `suffix_length`) until nothing does or the rest
is known (`special`); an address on the web stays whole; the rest is cut at joints such as hyphens between letters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.jit import compiled
from kedge.text.compiled.tables import (
    ALPHA,
    BEFORE_DOT,
    BEGINS,
    CURRENCY,
    DIGIT,
    GATE,
    GATE_MASK,
    HOST,
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
    WORD,
    Rules,
)

# One text: its characters in the first row, the class of each in the second.
Text = NDArray[np.uint32]
# Where words begin and end, and what clings to the end of one stretch.
Cuts = NDArray[np.int32]
Kinds = NDArray[np.uint32]
Places = NDArray[np.int32]

_BASE = np.uint64(0x100000001B3)
_START = np.uint64(0xCBF29CE484222325)


def room_for(length: int) -> tuple[Text, Cuts]:
    """Arrays for texts of at most so many characters."""
    return np.empty((2, length + 1), dtype=np.uint32), np.empty((3, length + 1), dtype=np.int32)


@compiled
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


@compiled
def hashed(text: Text, begin: int, end: int) -> np.uint64:
    """The hash of a stretch, as `tables.hash_text` computes it."""
    value = _START
    for i in range(begin, end):
        value = (value ^ np.uint64(text[0, i])) * _BASE
    return value if value != 0 else np.uint64(1)


@compiled
def find(text: Text, begin: int, end: int, rules: Rules, table: int) -> int:
    """Where the table's entry for a stretch begins, or -1."""
    size = end - begin
    if size > rules[table + LONGEST]:
        return -1
    bit = np.uint64((text[0, begin] * 131 + text[0, end - 1] * 31 + size) & GATE_MASK)
    if not (rules[table + GATE + np.int64(bit >> np.uint64(6))] >> (bit & np.uint64(63))) & np.uint64(1):
        return -1
    key = hashed(text, begin, end)
    mask = rules[table + MASK]
    keys = np.int64(rules[table + KEYS])
    place = np.int64(key & mask)
    while rules[keys + 2 * place] != 0:
        if rules[keys + 2 * place] == key:
            return int(np.int64(rules[keys + 2 * place + 1]))
        place = (place + 1) & np.int64(mask)
    return -1


@compiled
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


@compiled
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


@compiled
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


@compiled
def suffix_length(text: Text, begin: int, end: int, rules: Rules) -> int:
    """How many characters cling to the end: of all that do, the longest."""
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
    for size in range(1, min(int(np.int64(rules[UNITS + LONGEST])), end - begin - 1) + 1):
        if text[1, end - size - 1] & DIGIT:
            if find(text, end - size, end, rules, UNITS) >= 0:
                length = max(length, size)
            break
    return length


@compiled
def _hyphens_length(text: Text, at: int, end: int) -> int:
    """How long a run of hyphens or dashes before a letter is, if it is short enough to join words."""
    point, size = text[0, at], 1
    while at + size < end and text[0, at + size] == point:
        size += 1
    longest = 3 if point == 45 else (2 if point == 0x2014 else 1)
    return size if size <= longest and at + size < end and text[1, at + size] & ALPHA else 0


@compiled
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


@compiled
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


@compiled
def is_address(text: Text, begin: int, end: int) -> bool:
    """Whether a stretch is an address on the web or of mail, with or without a scheme: it ends as one."""
    dotted = False
    for at in range(begin + 1, end - 1):
        dotted |= text[0, at] == 46
    if not dotted:
        return False
    if _is_host(text, begin, end):
        return True
    plain = True  # so far only what a scheme may hold
    for at in range(begin, end - 3):
        scheme = text[0, at] == 58 and text[0, at + 1] == 47 and text[0, at + 2] == 47 and plain and at >= begin + 2
        if scheme and _is_host(text, at + 3, end):
            return True
        plain = plain and bool(text[1, at] & WORD or text[0, at] in (43, 45, 46))
        if text[0, at] == 64 and at > begin and _is_host(text, at + 1, end):
            return True
    return False


@compiled
def _is_host(text: Text, begin: int, end: int) -> bool:
    """Whether a host begins here, and with a port and a path behind it reaches to the end."""
    stop = begin
    while stop < end and (text[1, stop] & (HOST | LOWER) or text[0, stop] in (95, 45, 46)):
        stop += 1
    if not _is_rest(text, stop, end):
        return False
    dot = stop - 1
    while dot > begin and text[0, dot] != 46:
        dot -= 1
    if dot <= begin:
        return False
    size = stop - dot - 1
    named = 2 <= size <= 63
    for at in range(dot + 1, stop):
        named = named and bool(text[1, at] & LOWER)
    first = begin
    for at in range(begin, dot + 1):
        if text[0, at] == 46:
            sound = 1 <= at - first <= 64 and bool(text[1, first] & HOST) and bool(text[1, at - 1] & HOST)
            named = named and sound
            first = at + 1
        elif not (text[1, at] & HOST or text[0, at] in (95, 45)):
            named = False
    return named or _is_public(text, begin, stop)


@compiled
def _is_rest(text: Text, stop: int, end: int) -> bool:
    """Whether nothing, a port or a path follows a host."""
    if stop < end and text[0, stop] == 58:
        digits = stop + 1
        while digits < end and text[1, digits] & DIGIT:
            digits += 1
        if not 2 <= digits - stop - 1 <= 5:
            return False
        stop = digits
    return stop == end or text[0, stop] in (47, 63, 35)


@compiled
def _is_public(text: Text, begin: int, end: int) -> bool:
    """Whether a stretch is an IPv4 address that anybody may reach."""
    parts = np.zeros(4, dtype=np.int64)
    part, first = 0, begin
    for at in range(begin, end + 1):
        if at == end or text[0, at] == 46:
            if not 1 <= at - first <= 3 or part > 3:
                return False
            if part in (0, 3) and text[0, first] == 48:
                return False
            if part in (1, 2) and at - first == 3 and text[0, first] == 48:
                return False
            part += 1
            first = at + 1
        elif text[1, at] & DIGIT and part < 4:
            parts[part] = parts[part] * 10 + np.int64(text[0, at]) - 48
        else:
            return False
    if part != 4 or parts[0] > 223 or parts[1] > 255 or parts[2] > 255 or parts[3] > 254:
        return False
    private = parts[0] in (10, 127) or (parts[0] == 169 and parts[1] == 254) or (parts[0] == 192 and parts[1] == 168)
    return not (private or (parts[0] == 172 and 16 <= parts[1] <= 31))


@compiled
def _emit(cuts: Cuts, count: int, begin: int, end: int) -> int:
    cuts[0, count] = begin
    cuts[1, count] = end
    return count + 1


@compiled
def _emit_entry(rules: Rules, entry: int, cuts: Cuts, count: int, begin: int) -> int:
    for i in range(np.int64(rules[entry])):
        size = int(np.int64(rules[entry + 1 + i]))
        count = _emit(cuts, count, begin, begin + size)
        begin += size
    return count


@compiled
def _cut_inside(text: Text, begin: int, end: int, cuts: Cuts, count: int) -> int:
    """What is left when nothing clings to the ends any more."""
    every = np.uint32(0)
    for at in range(begin, end):
        every |= text[1, at]
    if not every & JOINT or is_address(text, begin, end):
        return _emit(cuts, count, begin, end)
    return _cut_joints(text, begin, end, cuts, count)


@compiled
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


@compiled
def cut_stretch(text: Text, begin: int, end: int, rules: Rules, cuts: Cuts, count: int) -> int:
    """The words of one stretch without blanks, appended to the `count` that are there; how many there are now."""
    first, depth, last = count, 0, -1
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
        after = suffix_length(text, begin + before, end, rules)
        if after and end - after > begin:
            entry = find(text, begin, end - after, rules, SPECIAL)
            if entry >= 0:
                cuts[2, depth] = after
                depth += 1
                end -= after
                break
        if before:
            count = _emit(cuts, count, begin, begin + before)
            begin += before
        if after:
            cuts[2, depth] = after
            depth += 1
            end -= after
        if before and after and end > begin:
            entry = find(text, begin, end, rules, SPECIAL)
    if entry >= 0:
        count = _emit_entry(rules, entry, cuts, count, begin)
    elif end > begin:
        count = _cut_inside(text, begin, end, cuts, count)
    for i in range(depth - 1, -1, -1):
        count = _emit(cuts, count, end, end + cuts[2, i])
        end += cuts[2, i]
    return _mended(text, rules, cuts, first, count)


@compiled
def _may_begin(text: Text, at: int, rules: Rules) -> np.uint64:
    """Whether something that is put together again begins with these two characters."""
    first, second = min(text[0, at], np.uint32(127)), min(text[0, at + 1], np.uint32(127))
    return np.uint64((rules[BEGINS + 2 * first + (second >> 6)] >> np.uint64(second & 63)) & np.uint64(1))


@compiled
def _mended(text: Text, rules: Rules, cuts: Cuts, first: int, count: int) -> int:
    """What was cut but belongs together, such as `:-)`, put together again: the longest first, then from the left."""
    most = 0
    for i in range(first, count - 1):
        if _may_begin(text, cuts[0, i], rules):
            last = i + 1
            while last < count and cuts[1, last] - cuts[0, i] <= np.int64(rules[MENDED + LONGEST]):
                last += 1
            most = max(most, last - i)
    if most < 2:
        return count
    chosen = np.full(count - first, -1, dtype=np.int32)
    size = np.ones(count - first, dtype=np.int32)
    taken = np.zeros(count - first, dtype=np.bool_)
    hits = 0
    for length in range(most, 1, -1):
        for i in range(first, count - length + 1):
            if not _may_begin(text, cuts[0, i], rules):
                continue
            entry = find(text, cuts[0, i], cuts[1, i + length - 1], rules, MENDED)
            if entry < 0 or not _is_cut(rules, entry, cuts, i, i + length):
                continue
            if not (taken[i - first] or taken[i + length - 1 - first]):
                chosen[i - first], size[i - first] = entry, length
                hits += 1
            taken[i - first : i + length - first] = True
    return _put_together(rules, cuts, first, chosen, size) if hits else count


@compiled
def _put_together(rules: Rules, cuts: Cuts, first: int, chosen: Places, size: Places) -> int:
    old_begins, old_ends = cuts[0, first : first + len(chosen)].copy(), cuts[1, first : first + len(chosen)].copy()
    count, i = first, 0
    while i < len(chosen):
        if chosen[i] >= 0:
            count = _emit_entry(rules, chosen[i], cuts, count, old_begins[i])
            i += size[i]
        else:
            count = _emit(cuts, count, old_begins[i], old_ends[i])
            i += 1
    return count


@compiled
def _is_cut(rules: Rules, entry: int, cuts: Cuts, first: int, last: int) -> bool:
    """Whether these words are those that the entry is cut into."""
    other = entry + 1 + np.int64(rules[entry])
    if rules[other] != last - first:
        return False
    for i in range(first, last):  # noqa: SIM110 - kernels have no generators
        if cuts[1, i] - cuts[0, i] != rules[other + 1 + i - first]:
            return False
    return True


@compiled
def cut(text: Text, begin: int, end: int, rules: Rules, cuts: Cuts) -> int:
    """The words of a text into `cuts`; how many there are."""
    count, at = 0, begin
    while at < end:
        while at < end and text[1, at] & SPACE:
            at += 1
        stop = at
        while stop < end and not text[1, stop] & SPACE:
            stop += 1
        if stop > at:
            count = cut_stretch(text, at, stop, rules, cuts, count)
        at = stop
    return count
