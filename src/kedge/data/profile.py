"""Says what a dataset is like: how many rows, how long, and what the tags hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Reject
from kedge.data.split import SPLITS
from kedge.data.tags import tag_text

SHOWN = 20  # values of a tag that are counted one by one
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99}
DISTINCT = 1 << 16  # different values of a tag that are told apart

_decoder = msgspec.json.Decoder(dict[str, Any])


class Profile:
    """Counts by split, lengths in characters, near-duplicate clusters, and the values of each tag."""

    def __init__(self) -> None:
        self._tags: dict[str, Counter[str]] = {}
        self._more: Counter[str] = Counter()
        self._types: dict[str, set[str]] = {}

    def add(self, tags: Mapping[str, int]) -> None:
        """Take the tags of rows as JSON, each with how many rows have just these."""
        for text, times in tags.items():
            for name, value in _decoder.decode(text).items():
                self._count(name, tag_text(value), times)
                self._types.setdefault(name, set()).add(type(value).__name__)

    def result(
        self,
        splits: NDArray[np.uint8],
        heads: NDArray[np.int64],
        inputs: NDArray[np.int32],
        targets: NDArray[np.int32],
    ) -> Mapping[str, Any]:
        """All as plain values. For every row its split, the head of its cluster, and how long its texts are."""
        counts = np.bincount(splits, minlength=len(SPLITS))
        sizes = np.bincount(heads)
        return {
            "splits": {str(split): int(count) for split, count in zip(SPLITS, counts, strict=True)},
            "input_chars": describe_lengths(inputs),
            "target_chars": describe_lengths(targets),
            "clusters": {"count": int(np.count_nonzero(sizes)), "largest": int(sizes.max(initial=0))},
            "tags": {name: self._tag(name) for name in sorted(self._tags)},
        }

    def _count(self, name: str, value: str, times: int) -> None:
        values = self._tags.setdefault(name, Counter())
        if value in values or len(values) < DISTINCT:
            values[value] += times
        else:
            self._more[name] += times

    def _tag(self, name: str) -> Mapping[str, Any]:
        """How many rows have the tag, how many values it has (at least, past a limit), and the most frequent of them."""
        counts, more = self._tags[name], self._more[name]
        top = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:SHOWN]
        types = sorted(self._types[name] - {"NoneType"})
        told = {
            "rows": counts.total() + more,
            "types": types,
            "distinct": len(counts),
            "top": [[value[:80], count] for value, count in top],
        }
        return told | ({"uncounted": more} if more else {})


def count_reasons(rejects: Iterable[Reject]) -> dict[str, int]:
    """How many rejects each reason has, by name."""
    return dict(sorted(Counter(reject.reason for reject in rejects).items()))


def describe_lengths(lengths: NDArray[np.int32]) -> Mapping[str, Any]:
    """Least, mean, quantiles and most."""
    if not len(lengths):
        return {}
    ordered = np.sort(lengths)
    last = len(ordered) - 1
    quantiles = {name: int(ordered[round(share * last)]) for name, share in QUANTILES.items()}
    mean = round(float(ordered.mean(dtype=np.float64)), 2)
    return {"min": int(ordered[0]), "mean": mean, **quantiles, "max": int(ordered[-1])}
