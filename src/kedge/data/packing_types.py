"""What packing a dataset into sequences costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """`cut` rows are longer than a sequence. Padded: a row a sequence. Packed: as many rows in each as fit, in their order.

    The two shares say how much of the computation is spent on filling.
    """

    rows: int
    tokens: int
    lengths: Mapping[str, float]
    characters_a_token: float
    length: int
    cut: int
    packed: int
    padding: float
    packed_padding: float
