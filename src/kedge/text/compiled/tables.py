"""What kernels look up: classes of characters, and stretches of text that are cut in their own way."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LIMIT = 0x33000  # code points beyond are in no class
FOLD_BITS = 21  # of a character

# Bits of a character's class.
SPACE, PREFIX, SUFFIX, LOWER = 1, 1 << 1, 1 << 2, 1 << 3
UPPER, ALPHA, DIGIT, QUOTE = 1 << 4, 1 << 5, 1 << 6, 1 << 7
CURRENCY, ICON, BEFORE_DOT, SYMBOL = 1 << 8, 1 << 9, 1 << 10, 1 << 11
LETTER, TERMINAL, SENTENCE_END, PUNCTUATION = 1 << 12, 1 << 13, 1 << 14, 1 << 15
WORD, HOST, LINE_END, ALNUM = 1 << 16, 1 << 17, 1 << 18, 1 << 19
JOINT = 1 << 20  # a joint may begin with it
MARK = 1 << 21  # it is counted by itself
SPELLED = 1 << 22  # a word may go on with it: letters, digits, and the accents and vowel signs that stand on them

_NAMED = {
    "prefix": PREFIX,
    "suffix": SUFFIX,
    "lower": LOWER,
    "upper": UPPER,
    "alpha": ALPHA,
    "quote": QUOTE,
    "currency": CURRENCY,
    "icon": ICON,
    "before_dot": BEFORE_DOT,
    "symbol": SYMBOL,
    "terminal": TERMINAL,
    "sentence_end": SENTENCE_END,
}
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_JOINTS = ".\u2026+-*^,:<>=/~\u2013\u2014"
_MARKS = "\n#.\u2026"
_EVERY = "".join(map(chr, range(LIMIT)))
_TESTS: Mapping[Callable[[str], bool], int] = {
    str.isspace: SPACE,
    str.isalpha: LETTER,
    str.isalnum: ALNUM,
}
_CATEGORIES = {"P": PUNCTUATION, "M": SPELLED}  # by the first letter of the Unicode category
_HASH_BASE = 0x100000001B3
_HASH_START = 0xCBF29CE484222325


# A table begins with where its keys are, their mask, the longest stretch it knows, and its gate: whether looking is
# worth while, by first character, last character and length. A key is followed by where its entry is: a count and so
# many lengths, twice if it is mended: as it is cut, and as it would be cut otherwise.
KEYS, MASK, LONGEST, GATE = 0, 1, 2, 3
GATE_MASK = 0x3FFF  # of bits, 64 in a word
_HEAD = GATE + (GATE_MASK + 1) // 64
SPECIAL, MENDED, UNITS = 0, _HEAD, 2 * _HEAD
BEGINS = 3 * _HEAD  # the first two characters of what is mended: 128 times 128 bits
_TAIL = BEGINS + 2 * 128

Rules = NDArray[np.uint64]
# One text: its characters in the first row, the class of each in the second.
Text = NDArray[np.uint32]


class Tables(NamedTuple):
    """What the kernels look up: the class of each character, what it is where case makes no difference (up to three
    characters of 21 bits, the first in the lowest), and `rules` for stretches of text."""

    kind: NDArray[np.uint32]
    folded: NDArray[np.uint64]
    rules: Rules


def hash_text(text: str) -> int:
    """The hash of a stretch of text, as the kernels compute it; never 0."""
    value = _HASH_START
    for character in text:
        value = (value ^ ord(character)) * _HASH_BASE % (1 << 64)
    return value or 1


@cache
def load_tables() -> Tables:
    """The rules for English, read from `words.toml`. About 0.1 seconds the first time."""
    read: Mapping[str, Any] = tomllib.loads(files("kedge.text.compiled").joinpath("words.toml").read_text("utf-8"))
    special: dict[str, list[int]] = read["special"]
    mended = {text: (special[text], cut) for text, cut in read["mended"].items() if len(cut) > 1}
    rules = [0] * _TAIL
    _write(rules, SPECIAL, {text: (cut,) for text, cut in special.items()})
    _write(rules, MENDED, mended)
    _write(rules, UNITS, {text: ([len(text)],) for text in read["words"]["units"]})
    for text in mended:
        first, second = (min(ord(character), 127) for character in text[:2])
        rules[BEGINS + 2 * first + second // 64] |= 1 << second % 64
    return Tables(
        kind=_kinds(read["classes"]),
        folded=_folds(),
        rules=np.array(rules, dtype=np.uint64),
    )


def _folds() -> NDArray[np.uint64]:
    """The case folding of each capital: of the capital, as what folds to itself may have one (a dotless i)."""
    folded = np.arange(LIMIT, dtype=np.uint64)
    for code, character in enumerate(_EVERY):
        if (form := character.upper().casefold()) != character:
            folded[code] = sum(ord(each) << FOLD_BITS * at for at, each in enumerate(form))
    return folded


def _kinds(classes: Mapping[str, str]) -> NDArray[np.uint32]:
    kind = np.zeros(LIMIT, dtype=np.uint32)
    for name, bit in _NAMED.items():
        for part in classes[name].split():
            first, _, last = part.partition("-")
            if int(first, 16) < LIMIT:
                kind[int(first, 16) : int(last or first, 16) + 1] |= np.uint32(bit)
    for test, bit in _TESTS.items():
        kind[np.fromiter(map(test, _EVERY), dtype=bool, count=LIMIT)] |= bit
    categories = np.array([category[0] for category in map(unicodedata.category, _EVERY)])
    for first, bit in _CATEGORIES.items():
        kind[categories == first] |= bit
    kind[(kind & ALNUM) != 0] |= WORD | SPELLED
    kind[ord("_")] |= WORD
    kind[0x30:0x3A] |= DIGIT
    kind[0xA1:0x10000] |= HOST
    for first, last in (("0", "9"), ("A", "Z"), ("a", "z")):
        kind[ord(first) : ord(last) + 1] |= HOST
    for character in _JOINTS:
        kind[ord(character)] |= JOINT
    kind[(kind & ICON) != 0] |= JOINT
    for characters, bit in ((_LINE_ENDS, LINE_END), (_MARKS, MARK)):
        for character in characters:
            kind[ord(character)] |= bit
    return kind


def _write(rules: list[int], table: int, entries: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """One table: its head where it has its place, its keys and entries behind all there is."""
    size = 1 << (2 * len(entries)).bit_length()
    keys = len(rules)
    rules[table + KEYS], rules[table + MASK], rules[table + LONGEST] = keys, size - 1, max(map(len, entries))
    rules += [0] * (2 * size)
    for text, cuts in entries.items():
        key = hash_text(text)
        place = key & (size - 1)
        while rules[keys + 2 * place]:
            place = (place + 1) & (size - 1)
        rules[keys + 2 * place], rules[keys + 2 * place + 1] = key, len(rules)
        bit = (ord(text[0]) * 131 + ord(text[-1]) * 31 + len(text)) & GATE_MASK
        rules[table + GATE + bit // 64] |= 1 << bit % 64
        for cut in cuts:
            rules += [len(cut), *cut]
