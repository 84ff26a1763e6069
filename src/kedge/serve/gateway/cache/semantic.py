"""Finds a prompt that is like another one, by vectors: of n-grams, or those that the model itself gives.

Needs numpy; loaded by name when an endpoint wants it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

DIMENSIONS = 1024
_LENGTHS = (3, 4, 5)
_MOST = 1024  # prompts that are compared with each other
_GROUPS = 256
_FACTORS = np.array([2654435761, 2246822519, 3266489917, 668265263, 374761393], dtype=np.uint32)


def ngrams(text: str) -> Vector:
    """A text by its runs of three to five bytes, hashed: alike for texts that are written alike. Of length 1."""
    data = np.frombuffer(f" {' '.join(text.lower().split())} ".encode(errors="replace"), dtype=np.uint8).astype(
        np.uint32
    )
    counts = np.zeros(DIMENSIONS, dtype=np.float32)
    for length in _LENGTHS:
        if len(data) >= length:
            windows = np.lib.stride_tricks.sliding_window_view(data, length)
            hashed = (windows * _FACTORS[:length]).sum(axis=1, dtype=np.uint32)
            counts += np.bincount(hashed >> np.uint32(22), minlength=DIMENSIONS).astype(np.float32)
    return unit(np.sqrt(counts))


def unit(vector: Vector) -> Vector:
    """The same direction, of length 1."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def from_bytes(data: bytes) -> Vector:
    """A vector as an engine gives it, of length 1."""
    return unit(np.frombuffer(data, dtype="<f4").astype(np.float32))


@dataclass(slots=True)
class _Group:
    vectors: Vector
    fingerprints: list[bytes] = field(default_factory=list)
    next: int = 0


class Neighbours:
    """Prompts in groups that are never compared with each other: of one tenant, one bundle, one way of asking."""

    def __init__(self) -> None:
        self._groups: OrderedDict[bytes, _Group] = OrderedDict()

    def find(self, group: bytes, vector: Vector, threshold: float) -> bytes | None:
        """The fingerprint of the likest prompt, if it is as alike as that."""
        known = self._groups.get(group)
        if known is None or known.vectors.shape[1] != len(vector):
            return None
        self._groups.move_to_end(group)
        likeness = known.vectors[: len(known.fingerprints)] @ vector
        best = int(likeness.argmax())
        return known.fingerprints[best] if likeness[best] >= threshold else None

    def add(self, group: bytes, vector: Vector, fingerprint: bytes) -> None:
        """Remember a prompt, in place of the oldest if the group is full."""
        known = self._groups.get(group)
        if known is None or known.vectors.shape[1] != len(vector):
            known = self._groups[group] = _Group(np.zeros((8, len(vector)), dtype=np.float32))
            if len(self._groups) > _GROUPS:
                self._groups.popitem(last=False)
        at = known.next % _MOST
        if at == len(known.vectors):
            known.vectors = np.concatenate([known.vectors, np.zeros_like(known.vectors)])
        known.vectors[at] = vector
        known.fingerprints[at : at + 1] = [fingerprint]
        known.next = at + 1
