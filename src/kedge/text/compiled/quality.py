"""Counts by which texts are judged: those of Gopher, C4 and FineWeb, in one pass over a batch, as machine code.

Each row of the result is one text, each column a count (`COUNTS`). Rules and their thresholds are elsewhere: they read
these columns, so that they can be changed without reading a text again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.jit import compiled
from kedge.text.compiled.tables import (
    LETTER,
    LINE_END,
    PUNCTUATION,
    SENTENCE_END,
    SPACE,
    SYMBOL,
    TERMINAL,
    Rules,
    hash_text,
    load_tables,
)
from kedge.text.compiled.words import Cuts, Kinds, Text, cut, decode, hashed, room_for

COUNTS = (
    "chars", "words", "plain_words", "plain_chars", "alpha_words", "stop_words", "hashes", "ellipses", "lines",
    "bullet_lines", "ellipsis_lines", "paragraphs", "dup_paragraphs", "dup_paragraph_chars", "runs", "dup_runs",
    "dup_run_chars", "top_2", "top_3", "top_4", "dup_5", "dup_6", "dup_7", "dup_8", "dup_9", "dup_10", "sentences",
    "curly_line", "lorem_line", "full_lines", "ended_lines", "short_lines", "dup_line_chars", "newlines",
)  # fmt: skip
(
    CHARS, WORDS, PLAIN_WORDS, PLAIN_CHARS, ALPHA_WORDS, STOP_WORDS, HASHES, ELLIPSES, LINES,
    BULLET_LINES, ELLIPSIS_LINES, PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS, RUNS, DUP_RUNS,
    DUP_RUN_CHARS, TOP_2, _TOP_3, _TOP_4, DUP_5, _DUP_6, _DUP_7, _DUP_8, _DUP_9, _DUP_10, SENTENCES,
    CURLY_LINE, LOREM_LINE, FULL_LINES, ENDED_LINES, SHORT_LINES, DUP_LINE_CHARS, NEWLINES,
) = range(len(COUNTS))  # fmt: skip

SHORT = 30  # characters of a line that FineWeb calls short
LONG_WORD = 1000  # characters of a word that C4 does not want
FEW_WORDS = 3  # words of a line that C4 wants

_STOPS = np.array([hash_text(w) for w in ("the", "be", "to", "of", "and", "that", "have", "with")], dtype=np.uint64)
_LOREM = np.frombuffer(b"lorem ipsum", dtype=np.uint8)
_JAVASCRIPT = np.frombuffer(b"javascript", dtype=np.uint8)
_POLICIES = tuple(
    np.frombuffer(phrase, dtype=np.uint8)
    for phrase in (
        b"terms of use",
        b"privacy policy",
        b"cookie policy",
        b"uses cookies",
        b"use of cookies",
        b"use cookies",
    )
)
_EDIT = np.frombuffer(b"[edit]", dtype=np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", dtype=np.uint8)

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xD6E8FEB86659FD93)


def count_batch(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int32]:
    """The counts of each text of an Arrow column of strings: its bytes, and where each text begins."""
    tables = load_tables()
    longest = int(np.diff(offsets).max(initial=0))
    text, cuts = room_for(longest)
    line, line_cuts = room_for(longest)
    size = 1 << max(6, (2 * longest).bit_length())
    room = np.zeros((size, 4), dtype=np.uint64)
    result = np.zeros((len(offsets) - 1, len(COUNTS)), dtype=np.int32)
    _count_all(data, offsets, tables.kind, tables.rules, text, cuts, line, line_cuts, room, result)
    return result


@compiled
def _count_all(  # noqa: PLR0913 - the arrays of a kernel: each is room for one thing
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    kind: Kinds,
    rules: Rules,
    text: Text,
    cuts: Cuts,
    line: Text,
    line_cuts: Cuts,
    room: NDArray[np.uint64],
    result: NDArray[np.int32],
) -> None:
    for i in range(len(offsets) - 1):
        size = decode(data, offsets[i], offsets[i + 1], kind, text)
        words = cut(text, 0, size, rules, cuts)
        row = result[i]
        row[CHARS], row[WORDS] = size, words
        _count_words(text, cuts, words, row)
        _count_marks(text, size, row)
        _count_lines(text, size, row)
        stamp = np.uint64(i * 64 + 1)
        _count_repeats(text, size, room, stamp, row)
        _count_grams(text, cuts, words, room, stamp + np.uint64(8), row)
        _count_sentences(text, size, rules, line, line_cuts, row)


@compiled
def _count_words(text: Text, cuts: Cuts, words: int, row: NDArray[np.int32]) -> None:
    plain, chars, alpha, stops = 0, 0, 0, 0
    for i in range(words):
        begin, end = cuts[0, i], cuts[1, i]
        some, letter = False, False
        for at in range(begin, end):
            some = some or not text[1, at] & SYMBOL
            letter = letter or text[1, at] & LETTER != 0
        if some:
            plain += 1
            chars += end - begin
        alpha += letter
        if 2 <= end - begin <= 4 and letter:
            key = hashed(text, begin, end)
            for j in range(len(_STOPS)):
                if _STOPS[j] == key:
                    stops |= 1 << j
    row[PLAIN_WORDS], row[PLAIN_CHARS], row[ALPHA_WORDS] = plain, chars, alpha
    while stops:
        row[STOP_WORDS] += stops & 1
        stops >>= 1


@compiled
def _count_marks(text: Text, size: int, row: NDArray[np.int32]) -> None:
    dots = 0
    for at in range(size):
        point = text[0, at]
        if point == 46:
            dots += 1
            if dots == 3:
                row[ELLIPSES] += 1
                dots = 0
            continue
        dots = 0
        if point == 35:
            row[HASHES] += 1
        elif point == 0x2026:
            row[ELLIPSES] += 1
        elif point == 10:
            row[NEWLINES] += 1


@compiled
def next_line(text: Text, at: int, size: int) -> tuple[int, int]:
    """Where the line that begins here ends, and where the next begins: lines as `str.splitlines` sees them."""
    end = at
    while end < size and not text[1, end] & LINE_END:
        end += 1
    if end + 1 < size and text[0, end] == 13 and text[0, end + 1] == 10:
        return end, end + 2
    return end, min(end + 1, size)


@compiled
def _is_ellipsis(text: Text, begin: int, end: int) -> bool:
    if end > begin and text[0, end - 1] == 0x2026:
        return True
    return end - begin > 2 and text[0, end - 1] == 46 and text[0, end - 2] == 46 and text[0, end - 3] == 46


@compiled
def _count_lines(text: Text, size: int, row: NDArray[np.int32]) -> None:
    at = 0
    while at < size:
        end, after = next_line(text, at, size)
        begin = at
        while begin < end and text[1, begin] & SPACE:
            begin += 1
        while end > begin and text[1, end - 1] & SPACE:
            end -= 1
        row[LINES] += 1
        row[BULLET_LINES] += begin < end and (text[0, begin] == 0x2022 or text[0, begin] == 45)
        row[ELLIPSIS_LINES] += _is_ellipsis(text, begin, end)
        at = after


@compiled
def _is_new(room: NDArray[np.uint64], mask: int, stamp: np.uint64, key: np.uint64) -> bool:
    """Whether a key has not been put under this stamp before; it is from now on."""
    place = np.int64((key * _FACTOR) >> np.uint64(20)) & mask
    while room[place, 1] == stamp:
        if room[place, 0] == key:
            return False
        place = (place + 1) & mask
    room[place, 0], room[place, 1] = key, stamp
    return True


@compiled
def _mix(value: np.uint64, point: np.uint64) -> np.uint64:
    value = (value ^ point) * _BASE
    return value ^ (value >> np.uint64(29))


@compiled
def _count_repeats(text: Text, size: int, room: NDArray[np.uint64], stamp: np.uint64, row: NDArray[np.int32]) -> None:
    """Paragraphs, runs of lines and lines that were there before."""
    first, last = 0, size
    while first < last and text[1, first] & SPACE:
        first += 1
    while last > first and text[1, last - 1] & SPACE:
        last -= 1
    found, dup, chars = _repeats(text, first, last, 2, room, stamp)
    row[PARAGRAPHS], row[DUP_PARAGRAPHS], row[DUP_PARAGRAPH_CHARS] = found, dup, chars
    found, dup, chars = _repeats(text, 0, size, 1, room, stamp + np.uint64(1))
    row[RUNS], row[DUP_RUNS], row[DUP_RUN_CHARS] = found, dup, chars
    _full_lines(text, size, room, stamp + np.uint64(2), row)


@compiled
def _repeats(
    text: Text, first: int, last: int, least: int, room: NDArray[np.uint64], stamp: np.uint64
) -> tuple[int, int, int]:
    """Parts between runs of at least so many newlines: how many, how many again, and the characters of those."""
    parts, again, chars, mask = 0, 0, 0, room.shape[0] - 1
    begin, at, value = first, first, _FACTOR
    while at <= last:
        run = at
        while run < last and text[0, run] == 10:
            run += 1
        if at == last or run - at >= least:
            parts += 1
            if not _is_new(room, mask, stamp, value):
                again += 1
                chars += at - begin
            if at == last:
                break
            begin, at, value = run, run, _FACTOR
            continue
        for i in range(at, max(run, at + 1)):
            value = _mix(value, np.uint64(text[0, i]))
        at = max(run, at + 1)
    return parts, again, chars


@compiled
def _full_lines(text: Text, size: int, room: NDArray[np.uint64], stamp: np.uint64, row: NDArray[np.int32]) -> None:
    begin, mask = 0, room.shape[0] - 1
    while begin <= size:
        end, value, full = begin, _FACTOR, False
        while end < size and text[0, end] != 10:
            value = _mix(value, np.uint64(text[0, end]))
            full = full or not text[1, end] & SPACE
            end += 1
        if full:
            row[FULL_LINES] += 1
            row[ENDED_LINES] += text[1, end - 1] & TERMINAL != 0
            row[SHORT_LINES] += end - begin <= SHORT
            if not _is_new(room, mask, stamp, value):
                row[DUP_LINE_CHARS] += end - begin
        begin = end + 1


@compiled
def _count_grams(
    text: Text, cuts: Cuts, words: int, room: NDArray[np.uint64], stamp: np.uint64, row: NDArray[np.int32]
) -> None:
    """Characters of the most frequent 2-, 3- and 4-grams of words, and of 5- to 10-grams that were there before."""
    sums = np.zeros(words + 1, dtype=np.uint64)  # of all characters of the words so far, as one polynomial
    powers = np.ones(words + 1, dtype=np.uint64)  # the base to the power of the characters so far
    lengths = np.zeros(words + 1, dtype=np.int32)
    for i in range(words):
        value, power = sums[i], powers[i]
        for at in range(cuts[0, i], cuts[1, i]):
            value = value * _BASE + np.uint64(text[0, at]) * _FACTOR + np.uint64(1)
            power = power * _BASE
        sums[i + 1], powers[i + 1] = value, power
        lengths[i + 1] = lengths[i] + cuts[1, i] - cuts[0, i]
    inverse = _inverses(powers)
    keys = np.empty(words, dtype=np.uint64)
    for i in range(words):
        keys[i] = (sums[i + 1] - sums[i] * (powers[i + 1] * inverse[i])) * _FACTOR + np.uint64(1)
    mask = 63
    while mask < 2 * words:
        mask = 2 * mask + 1
    often = 2
    for n in range(2, 5):  # what occurs once has no part that decides anything: only its beginning counts
        if often > 1 and words >= n:
            often, chars = _top_gram(keys, lengths, n, room, mask, stamp + np.uint64(n))
            row[TOP_2 + n - 2] = chars
        elif words >= n:
            row[TOP_2 + n - 2] = lengths[n] + n - 1
    for n in range(5, 11):  # where no 5-gram occurs twice, no longer one does
        repeated, i = 0, 0
        while i + n <= words:
            key = sums[i + n] - sums[i] * (powers[i + n] * inverse[i])
            if _is_new(room, mask, stamp + np.uint64(n), key):
                i += 1
            else:
                repeated += lengths[i + n] - lengths[i]
                i += n
        row[DUP_5 + n - 5] = repeated
        if repeated == 0:
            break


@compiled
def _inverses(powers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What each power of the base multiplies to 1, modulo 2**64."""
    result = np.empty_like(powers)
    for i in range(len(powers)):
        value = powers[i]  # right in three bits; each round doubles them
        for _ in range(5):
            value = value * (np.uint64(2) - powers[i] * value)
        result[i] = value
    return result


@compiled
def _top_gram(
    keys: NDArray[np.uint64], lengths: NDArray[np.int32], n: int, room: NDArray[np.uint64], mask: int, stamp: np.uint64
) -> tuple[int, int]:
    """How often the most frequent n-gram occurs, and its length, blanks between its words counted, times that.

    It is the first of several.
    """
    words = len(keys)
    best, top = 0, 0
    for i in range(words - n + 1):
        key = np.uint64(0)
        for j in range(i, i + n):
            key = _mix(key, keys[j])
        place = np.int64((key * _FACTOR) >> np.uint64(20)) & mask
        while room[place, 1] == stamp and room[place, 0] != key:
            place = (place + 1) & mask
        if room[place, 1] != stamp:
            room[place, 0], room[place, 1], room[place, 2], room[place, 3] = key, stamp, 0, i
        room[place, 2] += np.uint64(1)
        count, first = int(np.int64(room[place, 2])), int(np.int64(room[place, 3]))
        if count > best or (count == best and first < top):
            best, top = count, first
    return best, best * (lengths[top + n] - lengths[top] + n - 1)


@compiled
def _begins_with(text: Text, at: int, end: int, phrase: NDArray[np.uint8]) -> bool:
    """Whether a phrase of small letters stands here, in letters of any size."""
    if at + len(phrase) > end:
        return False
    for i in range(len(phrase)):
        point = text[0, at + i]
        if 65 <= point <= 90:
            point += 32
        if point != phrase[i]:
            return False
    return True


@compiled
def without_citations(text: Text, begin: int, end: int, line: Text) -> int:
    """Copy a line without `[12]`, `[edit]` and `[citation needed]`; how long it is."""
    size, at = 0, begin
    while at < end:
        if text[0, at] == 91:
            stop = at + 1
            while stop < end and 48 <= text[0, stop] <= 57:
                stop += 1
            if stop < end and text[0, stop] == 93:
                at = stop + 1
                continue
            if _same(text, at, end, _EDIT):
                at += len(_EDIT)
                continue
            if _same(text, at, end, _NEEDED):
                at += len(_NEEDED)
                continue
        line[0, size], line[1, size] = text[0, at], text[1, at]
        size += 1
        at += 1
    return size


@compiled
def _same(text: Text, at: int, end: int, phrase: NDArray[np.uint8]) -> bool:
    if at + len(phrase) > end:
        return False
    for i in range(len(phrase)):  # noqa: SIM110 - kernels have no generators
        if text[0, at + i] != phrase[i]:
            return False
    return True


@compiled
def _count_sentences(text: Text, size: int, rules: Rules, line: Text, cuts: Cuts, row: NDArray[np.int32]) -> None:
    """Sentences of the lines that C4 keeps, and the first line that makes it drop the text."""
    at, number = 0, 0
    while at < size:
        end, after = next_line(text, at, size)
        number += 1
        verdict, length = judge_line(text, at, end, line)
        if verdict == LOREM and row[LOREM_LINE] == 0:
            row[LOREM_LINE] = number
        if verdict == CURLY and row[CURLY_LINE] == 0:
            row[CURLY_LINE] = number
        if verdict in (KEPT, CURLY):
            row[SENTENCES] += _sentences(line, length, rules, cuts)
        at = after


KEPT, DROPPED, LOREM, CURLY = 0, 1, 2, 3


@compiled
def judge_line(text: Text, begin: int, end: int, line: Text) -> tuple[int, int]:
    """What C4 does with a line, and how long the line is without blanks around it and citations, put into `line`."""
    while begin < end and text[1, begin] & SPACE:
        begin += 1
    while end > begin and text[1, end - 1] & SPACE:
        end -= 1
    if begin == end:
        return DROPPED, 0
    last = text[0, end - 1]
    if last != 93 and not (last == 46 or last == 63 or last == 33 or last == 34 or last == 39):
        return DROPPED, 0
    words, first = 0, begin
    for at in range(begin, end + 1):
        if at == end or text[1, at] & SPACE:
            words += at > first
            if at - first > LONG_WORD:
                return DROPPED, 0
            first = at + 1
    size = without_citations(text, begin, end, line)
    if size == 0 or words < FEW_WORDS:
        return DROPPED, 0
    last = line[0, size - 1]
    if not (last == 46 or last == 63 or last == 33 or last == 34 or last == 39):
        return DROPPED, 0
    if size > 2 and last == 46 and line[0, size - 2] == 46 and line[0, size - 3] == 46:
        return DROPPED, 0
    return _judge_content(line, size), size


@compiled
def _judge_content(line: Text, size: int) -> int:
    script, policy, curly = False, False, False
    for at in range(size):
        point = line[0, at] | 32
        if point == 108 and _begins_with(line, at, size, _LOREM):
            return LOREM
        if point == 106 and _begins_with(line, at, size, _JAVASCRIPT):
            script = True
        curly = curly or line[0, at] == 123
        if point in (116, 112, 99, 117) and not policy:
            policy = (
                _begins_with(line, at, size, _POLICIES[0])
                or _begins_with(line, at, size, _POLICIES[1])
                or _begins_with(line, at, size, _POLICIES[2])
                or _begins_with(line, at, size, _POLICIES[3])
                or _begins_with(line, at, size, _POLICIES[4])
                or _begins_with(line, at, size, _POLICIES[5])
            )
    if script:
        return DROPPED
    if curly:
        return CURLY
    return DROPPED if policy else KEPT


@compiled
def _sentences(line: Text, size: int, rules: Rules, cuts: Cuts) -> int:
    """How many sentences a line has: one ends with its mark, and what follows begins the next unless it clings to it."""
    words = cut(line, 0, size, rules, cuts)
    count, ended, last = 1, False, 0
    for i in range(words):
        begin, end = cuts[0, i], cuts[1, i]
        blank = i > 0 and (begin - last > 1 or (begin - last == 1 and line[0, last] != 32))
        mark = end - begin == 1 and line[1, begin] & SENTENCE_END != 0
        clings = True
        for at in range(begin, end):
            clings = clings and line[1, at] & PUNCTUATION != 0
        if ended and (blank or not (clings or mark)):
            count += 1
            ended = False
        ended = ended or mark
        last = end
    return count
