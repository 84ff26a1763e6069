"""What an index is made of, and what a search gives."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.dataset import Row, Segment

FEATURES = "features.npy"  # every feature, ascending
STARTS = "starts.npy"  # where each feature's postings begin; one entry more than there are features
POSTINGS = "postings.npy"  # ordinals of the rows that have a feature, ascending within it; none if most rows have it
WEIGHTS = "weights.npy"  # the sum of the weights of each row's features, by ordinal


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig:
    """The config of an index artifact. Ordinals count through `segments`, deleted rows too; `rows` are those indexed."""

    dataset: str
    rows: int
    segments: tuple[Segment, ...]
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowHit:
    """A row near a text. `similarity` is 1 for the same features: the weight shared over the weight of either."""

    row: Row
    similarity: float
