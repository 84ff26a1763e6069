"""Collects what a report says from the rows of a dataset, in one pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Row
from kedge.core.hashing import canonical
from kedge.core.ports import BlobStore
from kedge.data.read import read_dataset, read_placed
from kedge.data.report.drift import label_drift, number_drift
from kedge.data.report.types import Drift, Histogram, Label, Measure, Outlier, Report

BINS = 24
TOP = 12
ABSENT = "(absent)"  # of rows without the tag
VALUES = 5_000  # distinct values of a tag that are counted one by one
OUTLIERS = 20
FAR = 5.0  # deviations from the median, in units of the median deviation, from which a row is an outlier
LEAST_DEVIATION = 0.05  # of logarithms and shares: rows that are nearly all alike do not make outliers of the others
QUANTILES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
MEASURES = (
    "input characters",
    "target characters",
    "input words",
    "longest line",
    "share of letters",
    "share beyond ASCII",
)


@dataclass(slots=True)
class Collected:
    """What one pass over the rows gives."""

    numbers: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    clusters: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    names: list[tuple[str, str]] = field(default_factory=list)


def collect_report(blobs: BlobStore, dataset: str, *, against: str = "") -> Report:
    """The report of a dataset, with how it differs from another if one is given."""
    manifest, seen = read_dataset(blobs, dataset), _collect(blobs, dataset)
    sizes = Counter(seen.clusters.values())
    return Report(
        name=manifest.name,
        digest=dataset,
        rows=manifest.rows,
        splits=dict(sorted(seen.splits.items())),
        measures=tuple(_measure(name, np.array(seen.numbers[name])) for name in MEASURES if any(seen.numbers[name])),
        labels=tuple(_label(name, counts) for name, counts in sorted(seen.labels.items())),
        clusters={
            "count": len(seen.clusters),
            "rows in one with others": sum(n * c for n, c in sizes.items() if n > 1),
        },
        rejects=dict(manifest.rejects),
        private=dict(manifest.profile.get("private", {})),
        outliers=tuple(_outliers(seen)),
        against=against,
        drift=tuple(_drift(_collect(blobs, against), seen)) if against else (),
    )


def _collect(blobs: BlobStore, dataset: str) -> Collected:
    seen = Collected()
    for _, placed in read_placed(blobs, read_dataset(blobs, dataset)):
        row = placed.row
        for name, value in zip(MEASURES, _numbers(row), strict=True):
            seen.numbers[name].append(value)
        for name, value in row.tags.items():
            counts = seen.labels.setdefault(name, Counter())
            text = value if isinstance(value, str) else canonical(value).decode()
            counts[text[:80] if len(counts) < VALUES or text[:80] in counts else "other values"] += 1
        seen.clusters[placed.cluster] += 1
        seen.splits[str(placed.split)] += 1
        seen.names.append((row.id, row.source))
    return seen


def _numbers(row: Row) -> tuple[float, ...]:
    text, size = row.input, max(1, len(row.input))
    beyond = 0.0 if text.isascii() else sum(not each.isascii() for each in text) / size
    letters = sum(map(str.isalpha, text)) / size
    longest = max(map(len, text.split("\n")))
    return len(text), len(row.target), len(text.split()), longest, letters, beyond


def _measure(name: str, values: NDArray[np.float64]) -> Measure:
    quantiles = {label: float(np.quantile(values, at)) for label, at in QUANTILES.items()}
    low, high = float(values.min()), float(values.max())
    if high > 50 * max(1.0, float(np.median(values))) and low >= 0:
        edges = np.expm1(np.linspace(math.log1p(low), math.log1p(high), BINS + 1))
        edges[0], edges[-1] = low, high
    else:
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts, _ = np.histogram(values, edges)
    histogram = Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))
    return Measure(name=name, quantiles=quantiles, mean=float(values.mean()), histogram=histogram)


def _label(name: str, counts: Counter[str]) -> Label:
    total = counts.total()
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    top = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:TOP]
    balance = entropy / math.log(len(counts)) if len(counts) > 1 else 1.0
    return Label(name=name, rows=total, distinct=len(counts), top=tuple(top), balance=balance)


def _outliers(seen: Collected) -> Sequence[Outlier]:
    """The rows furthest from the median of some measure, in units of the median deviation."""
    found: dict[int, tuple[float, str]] = {}
    for name, numbers in seen.numbers.items():
        values = np.array(numbers, dtype=np.float64)
        scaled = values if name.startswith("share") else np.log1p(values)
        middle = float(np.median(scaled)) if len(scaled) else 0.0
        deviation = 1.4826 * float(np.median(np.abs(scaled - middle))) if len(scaled) else 0.0
        far = np.abs(scaled - middle) / max(deviation, LEAST_DEVIATION)
        for at in np.argsort(-far, kind="stable")[:OUTLIERS].tolist():
            if far[at] >= FAR and far[at] > found.get(at, (0.0, ""))[0]:
                shown = f"{values[at]:,.2f}" if name.startswith("share") else f"{values[at]:,.0f}"
                found[at] = (float(far[at]), f"{name}: {shown}, {far[at]:.1f} deviations from the median")
    worst = sorted(found.items(), key=lambda entry: (-entry[1][0], entry[0]))[:OUTLIERS]
    return [Outlier(row=seen.names[at][0], source=seen.names[at][1], why=why) for at, (_, why) in worst]


def _drift(before: Collected, after: Collected) -> Sequence[Drift]:
    """How numbers, labels and splits differ, the most different first."""
    found = [
        number_drift(name, np.array(before.numbers[name]), np.array(after.numbers[name]))
        for name in MEASURES
        if any(before.numbers[name]) and any(after.numbers[name])
    ]
    every: Mapping[str, tuple[Counter[str], Counter[str]]] = {
        "split": (before.splits, after.splits),
        **{
            name: (before.labels.get(name, Counter()), after.labels.get(name, Counter()))
            for name in {*before.labels, *after.labels}
        },
    }
    sizes = (len(before.names), len(after.names))
    for name, counts in sorted(every.items()):
        whole = [Counter({**each, ABSENT: size - each.total()}) for each, size in zip(counts, sizes, strict=True)]
        found.append(label_drift(name, *(Counter({k: n for k, n in each.items() if n}) for each in whole)))
    return sorted(found, key=lambda drift: (-drift.psi, drift.name))
