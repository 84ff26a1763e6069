"""Columns of 128-bit digests as numbers: compared, sorted and told without a Python object a row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WIDTH = 16


@dataclass(frozen=True, slots=True)
class Digests:
    """A digest a row: two numbers, the first the more significant, so that their order is that of the digits."""

    pairs: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.pairs)

    def hex(self, rows: NDArray[np.int64]) -> list[str]:
        """The digits of some of them."""
        text = self.pairs[rows].byteswap().tobytes().hex()
        return [text[at : at + 2 * WIDTH] for at in range(0, len(text), 2 * WIDTH)]


def from_hex(column: pa.Array) -> NDArray[np.uint64]:
    """The numbers of a column of 32 hexadecimal digits each."""
    return from_bytes(bytes.fromhex(b"".join(column.cast(pa.binary()).to_pylist()).decode("ascii")))


def binary_column(column: pa.Array) -> NDArray[np.uint64]:
    """The numbers of a column of 16 bytes each."""
    width = column.type.byte_width
    data = column.buffers()[1]
    return from_bytes(memoryview(data)[column.offset * width : (column.offset + len(column)) * width])


def from_bytes(data: Any) -> NDArray[np.uint64]:
    """The numbers of digests written one after the other."""
    return np.frombuffer(data, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def key_of(text: str) -> int:
    """64 bits that stand for a text, never 0."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") or 1


def equal(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where digests are the same."""
    same: NDArray[np.bool_] = (left[:, 0] == right[:, 0]) & (left[:, 1] == right[:, 1])
    return same


class Places:
    """Finds digests among others. Both are gone through in their order, so that each is near the one before."""

    def __init__(self, among: NDArray[np.uint64]) -> None:
        self._order = np.argsort(among[:, 0])
        self._sorted = among[self._order, 0]

    def of(self, wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Where each of them stands, if it is there at all: whether it does, `equal` tells."""
        order = np.argsort(wanted[:, 0])
        at = np.searchsorted(self._sorted, wanted[order, 0])
        places = np.empty(len(wanted), dtype=np.int64)
        places[order] = self._order[np.minimum(at, len(self._order) - 1)]
        return places


def by_id(pairs: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order of digests."""
    order = np.argsort(pairs[:, 0])
    first = pairs[order, 0]
    if (first[1:] == first[:-1]).any():  # as good as never, unless digests are there twice
        return np.lexsort((pairs[:, 1], pairs[:, 0]))
    return order


def repeated(pairs: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where digests stand that may be there more than once; none that is, is left out."""
    order = np.argsort(pairs[:, 0])
    ordered = pairs[order, 0]
    same = np.zeros(len(order), dtype=bool)
    twice = ordered[1:] == ordered[:-1]
    same[1:] |= twice
    same[:-1] |= twice
    return np.sort(order[same])


def least(keys: NDArray[np.uint64], rank: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For each row the least rank among the rows with its key."""
    _, inverse = np.unique(keys, return_inverse=True)
    first = np.full(int(inverse.max(initial=-1)) + 1, 255, dtype=np.uint8)
    np.minimum.at(first, inverse, rank)
    return first[inverse]
