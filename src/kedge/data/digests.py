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
        text = pick(self.pairs, rows).byteswap().tobytes().hex()
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


def pick(pairs: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Some of them: what indexing gives, in a tenth of the time."""
    return np.take(pairs, rows, axis=0)


def equal(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where digests are the same."""
    same: NDArray[np.bool_] = (left[:, 0] == right[:, 0]) & (left[:, 1] == right[:, 1])
    return same


@dataclass(frozen=True, slots=True)
class Places:
    """Where each of some digests stands: the places ordered by the first number of each, and those numbers."""

    order: NDArray[np.int64]
    ordered: NDArray[np.uint64]

    def find(self, wanted: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each of them stands, if it is there at all: whether it does, `equal` tells.

        They are looked for in their `order`, so that each is near the one before. `IndexError` if there is nothing
        among which to look.
        """
        at = np.searchsorted(self.ordered, wanted[order, 0])
        places = np.zeros(len(wanted), dtype=np.int64)
        places[order] = self.order[np.minimum(at, len(self.order) - 1)]
        return places

    def among(self, chosen: NDArray[np.int64], count: int) -> Places:
        """The same for some of `count` digests, ascending."""
        if len(chosen) == count:
            return self
        place = np.full(count, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        order = place[self.order]
        stay = order >= 0
        return Places(order[stay], self.ordered[stay])

    def repeated(self) -> NDArray[np.int64]:
        """The places, ascending, of those that may be there more than once; none that is, is left out."""
        same = np.zeros(len(self.order), dtype=bool)
        twice = self.ordered[1:] == self.ordered[:-1]
        same[1:] |= twice
        same[:-1] |= twice
        return np.sort(self.order[same])


def sort(pairs: NDArray[np.uint64]) -> Places:
    """Digests in the order of their first numbers."""
    order = np.argsort(pairs[:, 0])
    return Places(order, pairs[order, 0])


def by_id(pairs: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of digests, given that of their first numbers."""
    first = pairs[order, 0]
    if (first[1:] == first[:-1]).any():  # as good as never, unless digests are there twice
        return np.lexsort((pairs[:, 1], pairs[:, 0]))
    return order


def least(groups: NDArray[np.int64], rank: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For each row the least rank among the rows of its group: groups are numbered from 0."""
    first = np.full(int(groups.max(initial=-1)) + 1, 255, dtype=np.uint8)
    np.minimum.at(first, groups, rank)
    return first[groups]
