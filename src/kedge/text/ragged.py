"""Many lists of numbers end to end in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ragged:
    """List `i` is `values[starts[i]:starts[i + 1]]`; `starts` has one entry more than there are lists."""

    values: NDArray[np.uint64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many numbers each list has."""
        return np.diff(self.starts)

    @property
    def owners(self) -> NDArray[np.int64]:
        """For each number, the list it is in."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)


def code_points(texts: Sequence[str], *, width: int = 1) -> Ragged:
    """The characters of each text as numbers; a text shorter than `width` is filled up with zeros."""
    padded = [text if len(text) >= width else text.ljust(width, "\0") for text in texts]
    starts = np.zeros(len(padded) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, padded), dtype=np.int64, count=len(padded)), out=starts[1:])
    encoded = "".join(padded).encode("utf-32-le", "surrogatepass")
    return Ragged(np.frombuffer(encoded, dtype="<u4").astype(np.uint64), starts)


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number scrambled so that every bit depends on every bit (the finaliser of SplitMix64)."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
