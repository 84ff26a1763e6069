"""Draws from what was read: fewer rows, a mixture of kinds by weight, or classes of equal size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kedge.core.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """`size` rows at most (0: as many as the weights allow). `tag` says which kind a row is of; `weights` its share of the
    whole by value, 0 leaving it out and a value not named counting 1. `balance` weighs all values alike."""

    size: int = 0
    tag: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    balance: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.weights or self.balance) and not self.tag:
            raise Invalid("sample.weights and sample.balance need sample.tag: the tag whose values are weighed")
        if self.weights and self.balance:
            raise Invalid("sample.balance weighs all values alike: leave sample.weights out")
        if any(weight < 0 for weight in self.weights.values()):
            raise Invalid("sample.weights must not be negative")


def draw(ids: Sequence[str], kinds: Sequence[str], options: SampleOptions) -> NDArray[np.int64]:
    """The places of the rows drawn, ascending. A row is drawn or not whatever order the rows come in."""
    members: dict[str, list[tuple[int, int]]] = {}
    for at, (name, kind) in enumerate(zip(ids, kinds, strict=True)):
        weight = options.weights.get(kind, 1.0)
        if weight > 0:
            members.setdefault(kind, []).append((_drawn(name, options.seed), at))
    if not members:
        return np.empty(0, dtype=np.int64)
    wanted = _wanted({kind: len(rows) for kind, rows in members.items()}, options)
    chosen = [at for kind, rows in members.items() for _, at in sorted(rows)[: wanted[kind]]]
    return np.array(sorted(chosen), dtype=np.int64)


def _wanted(sizes: Mapping[str, int], options: SampleOptions) -> Mapping[str, int]:
    """How many rows of each kind."""
    total = sum(sizes.values())
    if not options.weights and not options.balance:
        share = min(1.0, options.size / total) if options.size else 1.0
        return {kind: round(size * share) for kind, size in sizes.items()}
    weights = {kind: 1.0 if options.balance else options.weights.get(kind, 1.0) for kind in sizes}
    whole = sum(weights.values())
    most = min(size * whole / weights[kind] for kind, size in sizes.items())  # of which the scarcest kind is its share
    size = min(most, options.size) if options.size else most
    return {kind: int(size * weights[kind] / whole + 1e-9) for kind in sizes}


def _drawn(name: str, seed: int) -> int:
    """A number for a row that looks random: its id is a digest, and the seed stirs it."""
    value = (int(name[:16], 16) ^ (seed * 0x9E3779B97F4A7C15)) % (1 << 64)
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
    value = (value ^ value >> 27) * 0x94D049BB133111EB % (1 << 64)
    return value ^ value >> 31
