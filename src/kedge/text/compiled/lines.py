"""What the lines of a text say, and the sentences of those that C4 keeps, as machine code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kedge.text.compiled.columns import BULLET_LINES, CURLY_LINE, ELLIPSIS_LINES, LINES, LOREM_LINE, SENTENCES
from kedge.text.compiled.jit import inner, short
from kedge.text.compiled.tables import LINE_END, PUNCTUATION, SENTENCE_END, SPACE, Rules, Text
from kedge.text.compiled.words import Cuts, cut

LONG_WORD = 1000  # characters of a word that C4 does not want
FEW_WORDS = 3  # words of a line that C4 wants

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

_KEPT, _DROPPED, _LOREM_LINE, _CURLY = 0, 1, 2, 3


@inner
def count_lines(
    text: Text, size: int, words: int, rules: Rules, cuts: Cuts, part: tuple[Text, Cuts], row: NDArray[np.int32]
) -> None:
    """Lines, sentences of those that C4 keeps, and the first line that makes it drop the text. `part` is room for one."""
    at, number, word = 0, 0, 0
    while at < size:
        end, after = _next_line(text, at, size)
        begin = at
        while begin < end and text[1, begin] & SPACE:
            begin += 1
        while end > begin and text[1, end - 1] & SPACE:
            end -= 1
        number += 1
        row[BULLET_LINES] += begin < end and (text[0, begin] == 0x2022 or text[0, begin] == 45)
        row[ELLIPSIS_LINES] += _is_ellipsis(text, begin, end)
        verdict, length = _judge_line(text, begin, end, part[0])
        if verdict == _LOREM_LINE and row[LOREM_LINE] == 0:
            row[LOREM_LINE] = number
        if verdict == _CURLY and row[CURLY_LINE] == 0:
            row[CURLY_LINE] = number
        if verdict in (_KEPT, _CURLY) and length:
            row[SENTENCES] += _sentences(part[0], 0, cut(part[0], 0, length, rules, part[1]), part[1])
        elif verdict in (_KEPT, _CURLY):
            word, last = _words_between(cuts, word, words, begin, end)
            row[SENTENCES] += _sentences(text, word, last, cuts)
            word = last
        at = after
    row[LINES] = number


@inner
def _next_line(text: Text, at: int, size: int) -> tuple[int, int]:
    """Where the line that begins here ends, and where the next begins: lines as `str.splitlines` sees them."""
    end = at
    while end < size and not text[1, end] & LINE_END:
        end += 1
    if end + 1 < size and text[0, end] == 13 and text[0, end + 1] == 10:
        return end, end + 2
    return end, min(end + 1, size)


@short
def _is_ellipsis(text: Text, begin: int, end: int) -> bool:
    if end > begin and text[0, end - 1] == 0x2026:
        return True
    return end - begin > 2 and text[0, end - 1] == 46 and text[0, end - 2] == 46 and text[0, end - 3] == 46


@short
def _words_between(cuts: Cuts, word: int, words: int, begin: int, end: int) -> tuple[int, int]:
    """Of the words from one on the first that begins in a stretch, and the first behind it."""
    while word < words and cuts[0, word] < begin:
        word += 1
    last = word
    while last < words and cuts[0, last] < end:
        last += 1
    return word, last


@short
def _ends_a_sentence(point: np.uint32) -> bool:
    return bool(point == 46 or point == 63 or point == 33 or point == 34 or point == 39)


@inner
def _judge_line(text: Text, begin: int, end: int, line: Text) -> tuple[int, int]:
    """What C4 does with a line without blanks around it. With something in brackets it is put into `line` without
    citations, and its length there is given; that of any other is 0."""
    if begin == end or not (text[0, end - 1] == 93 or _ends_a_sentence(text[0, end - 1])):
        return _DROPPED, 0
    words, first, bracket = 0, begin, False
    for at in range(begin, end + 1):
        if at == end or text[1, at] & SPACE:
            words += at > first
            if at - first > LONG_WORD:
                return _DROPPED, 0
            first = at + 1
        elif text[0, at] == 91:
            bracket = True
    if words < FEW_WORDS:
        return _DROPPED, 0
    if not bracket:
        return _judge_content(text, begin, end), 0
    size = _without_citations(text, begin, end, line)
    return _judge_content(line, 0, size), size


@inner
def _without_citations(text: Text, begin: int, end: int, line: Text) -> int:
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
            if _stands(text, at, end, _EDIT, 0):
                at += len(_EDIT)
                continue
            if _stands(text, at, end, _NEEDED, 0):
                at += len(_NEEDED)
                continue
        line[0, size], line[1, size] = text[0, at], text[1, at]
        size += 1
        at += 1
    return size


@inner
def _stands(text: Text, at: int, end: int, phrase: NDArray[np.uint8], fold: int) -> bool:
    """Whether a phrase of small letters stands here; with a `fold` of 32 in letters of any size."""
    if at + len(phrase) > end:
        return False
    for i in range(len(phrase)):
        point = text[0, at + i]
        if 65 <= point <= 90:
            point += fold
        if point != phrase[i]:
            return False
    return True


@inner
def _judge_content(line: Text, begin: int, end: int) -> int:
    if begin == end or not _ends_a_sentence(line[0, end - 1]):
        return _DROPPED
    if end - begin > 2 and line[0, end - 1] == 46 and line[0, end - 2] == 46 and line[0, end - 3] == 46:
        return _DROPPED
    script, policy, curly = False, False, False
    for at in range(begin, end):
        point = line[0, at] | 32
        if point == 123:
            curly = curly or line[0, at] == 123
        elif point == 108 and _stands(line, at, end, _LOREM, 32):
            return _LOREM_LINE
        elif point == 106 and _stands(line, at, end, _JAVASCRIPT, 32):
            script = True
        elif not policy and (point == 116 or point == 112 or point == 99 or point == 117):
            policy = _is_policy(line, at, end)
    if script:
        return _DROPPED
    if curly:
        return _CURLY
    return _DROPPED if policy else _KEPT


@inner
def _is_policy(line: Text, at: int, end: int) -> bool:
    return (
        _stands(line, at, end, _POLICIES[0], 32)
        or _stands(line, at, end, _POLICIES[1], 32)
        or _stands(line, at, end, _POLICIES[2], 32)
        or _stands(line, at, end, _POLICIES[3], 32)
        or _stands(line, at, end, _POLICIES[4], 32)
        or _stands(line, at, end, _POLICIES[5], 32)
    )


@inner
def _sentences(line: Text, first: int, last: int, cuts: Cuts) -> int:
    """How many sentences these words are: one ends with its mark, and what follows begins the next unless it clings to it."""
    count, ended, before = 1, False, 0
    for i in range(first, last):
        begin, end = cuts[0, i], cuts[1, i]
        mark = end - begin == 1 and line[1, begin] & SENTENCE_END != 0
        if ended:
            clings = np.uint32(PUNCTUATION)
            for at in range(begin, end):
                clings &= line[1, at]
            blank = begin - before > 1 or (begin - before == 1 and line[0, before] != 32)
            if blank or not (clings or mark):
                count += 1
                ended = False
        ended = ended or mark
        before = end
    return count
