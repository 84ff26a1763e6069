"""Says what a dataset is like: how many rows, how long, and what the tags hold."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kedge.core.dataset import Reject, Row, Split
from kedge.core.hashing import canonical
from kedge.data.split import count_splits

SHOWN = 20  # values of a tag that are counted one by one
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99}


def profile(rows: Sequence[Row], splits: Sequence[Split], clusters: Sequence[str]) -> Mapping[str, Any]:
    """Counts by split, lengths in characters, near-duplicate clusters, and the values of each tag."""
    sizes = Counter(clusters)
    return {
        "splits": {str(split): count for split, count in count_splits(splits).items()},
        "input_chars": describe_lengths(len(row.input) for row in rows),
        "target_chars": describe_lengths(len(row.target) for row in rows),
        "clusters": {"count": len(sizes), "largest": max(sizes.values(), default=0)},
        "tags": {name: _tag(rows, name) for name in sorted({name for row in rows for name in row.tags})},
    }


def count_reasons(rejects: Iterable[Reject]) -> dict[str, int]:
    """How many rejects each reason has, by name."""
    return dict(sorted(Counter(reject.reason for reject in rejects).items()))


def describe_lengths(lengths: Iterable[int]) -> Mapping[str, Any]:
    """Least, mean, quantiles and most."""
    ordered = sorted(lengths)
    if not ordered:
        return {}
    last = len(ordered) - 1
    quantiles = {name: ordered[round(share * last)] for name, share in QUANTILES.items()}
    return {"min": ordered[0], "mean": round(statistics.fmean(ordered), 2), **quantiles, "max": ordered[-1]}


def _tag(rows: Sequence[Row], name: str) -> Mapping[str, Any]:
    """How many rows have the tag, how many values it has, and the most frequent of them."""
    counts = Counter(canonical(row.tags[name]).decode() for row in rows if name in row.tags)
    top = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:SHOWN]
    return {"rows": counts.total(), "distinct": len(counts), "top": [[value[:80], count] for value, count in top]}
