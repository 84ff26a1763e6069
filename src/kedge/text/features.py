"""What a text is about, as 64-bit numbers: its words, their parts, and neighbouring parts.

A word is a run of letters, digits, underscores and anything beyond ASCII. Its parts are cut at underscores and where
small letters turn to capitals (`read_nextLine`: read, next, line); each character beyond ASCII is a part of its own,
so that languages without spaces are found too. Case is ignored for ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kedge.text.ragged import Ragged, mixed

_BASE = np.uint64(0x100000001B3)
_INVERSE = np.uint64(pow(0x100000001B3, -1, 1 << 64))
_PAIR = np.uint64(0x9E3779B97F4A7C15)

_SEPARATOR, _UNDERSCORE, _SMALL, _CAPITAL, _DIGIT, _FOLLOWS, _LEADS = range(7)


def _table() -> NDArray[np.uint8]:
    table = np.full(256, _SEPARATOR, dtype=np.uint8)
    table[ord("_")] = _UNDERSCORE
    table[ord("a") : ord("z") + 1] = _SMALL
    table[ord("A") : ord("Z") + 1] = _CAPITAL
    table[ord("0") : ord("9") + 1] = _DIGIT
    table[0x80:0xC0] = _FOLLOWS
    table[0xC0:] = _LEADS
    return table


_CLASS = _table()
_LOWER = np.array([ord(chr(i).lower()) if i < 128 else i for i in range(256)], dtype=np.uint64)


def features(texts: Sequence[str]) -> Ragged:
    """The distinct features of each text, ascending within a text."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    data = np.frombuffer(b" ".join((b"", *encoded, b"")), dtype=np.uint8)
    begins = np.zeros(len(texts) + 1, dtype=np.int64)  # where each text begins in `data`: after the blank before it
    begins[0] = 1
    np.cumsum([len(text) + 1 for text in encoded], out=begins[1:])
    begins[1:] += 1
    kind = _CLASS[data]
    hasher = _Hasher(data)
    word_at, words = hasher.runs(*_words(kind))
    part_at, parts = hasher.runs(*_parts(kind))
    owner = np.searchsorted(begins, part_at, side="right") - 1
    pairs = mixed(parts[:-1] * _PAIR + parts[1:])[owner[:-1] == owner[1:]]
    owners = np.concatenate(
        (np.searchsorted(begins, word_at, side="right") - 1, owner, owner[:-1][owner[:-1] == owner[1:]])
    )
    return _distinct(owners, np.concatenate((words, parts, pairs)), len(texts))


def _words(kind: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words begin and end."""
    inside = kind != _SEPARATOR
    return np.flatnonzero(inside[1:] & ~inside[:-1]) + 1, np.flatnonzero(inside[:-1] & ~inside[1:]) + 1


def _parts(kind: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where parts of words begin and end."""
    inside = kind > _UNDERSCORE
    beyond = kind >= _FOLLOWS
    turn = (kind[:-1] == _SMALL) & (kind[1:] == _CAPITAL)
    turn |= (kind[1:] == _LEADS) | (beyond[:-1] & ~beyond[1:])
    begins = inside[1:] & (~inside[:-1] | turn)
    ends = inside[:-1] & (~inside[1:] | turn)
    return np.flatnonzero(begins) + 1, np.flatnonzero(ends) + 1


class _Hasher:
    """Hashes of any stretches of one byte string, from sums over its beginnings: no loop over bytes."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        powers = np.full(len(data) + 1, _BASE, dtype=np.uint64)
        powers[0] = 1
        np.multiply.accumulate(powers, out=powers)
        self._sums = np.zeros(len(data) + 1, dtype=np.uint64)
        np.cumsum((_LOWER[data] + np.uint64(1)) * powers[:-1], out=self._sums[1:])
        self._inverses = np.full(len(data) + 1, _INVERSE, dtype=np.uint64)
        self._inverses[0] = 1
        np.multiply.accumulate(self._inverses, out=self._inverses)

    def runs(self, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Where the runs begin, and a number for the content of each."""
        return begins, mixed((self._sums[ends] - self._sums[begins]) * self._inverses[begins])


def _distinct(owners: NDArray[np.int64], values: NDArray[np.uint64], count: int) -> Ragged:
    order = np.lexsort((values, owners))
    owners, values = owners[order], values[order]
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    owners, values = owners[fresh], values[fresh]
    return Ragged(values, np.searchsorted(owners, np.arange(count + 1)).astype(np.int64))
