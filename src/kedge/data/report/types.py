"""What a report says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts between edges; one edge more than there are counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number of each row: its quantiles and its distribution."""

    name: str
    quantiles: Mapping[str, float]
    mean: float
    histogram: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A tag's values with their counts, the most frequent first. `balance` is 1 when all are equally frequent, and near 0
    when one has nearly all."""

    name: str
    rows: int
    distinct: int
    top: tuple[tuple[str, int], ...]
    balance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A row that is unlike the others, and why."""

    row: str
    source: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How one thing differs from its reference. `psi` is the population stability index (over 0.25 is much); `test` is
    Kolmogorov-Smirnov for numbers and chi-squared for labels, with its statistic and the chance of so great a one."""

    name: str
    psi: float
    test: str
    statistic: float
    p: float

    @property
    def verdict(self) -> str:
        """What it comes to, in a word."""
        if self.psi >= 0.25:
            return "much"
        return "some" if self.psi >= 0.1 or self.p < 0.001 else "little"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a report says of one dataset; `drift` is against `against`, both empty without another."""

    name: str
    digest: str
    rows: int
    splits: Mapping[str, int]
    measures: tuple[Measure, ...]
    labels: tuple[Label, ...]
    clusters: Mapping[str, int]
    rejects: Mapping[str, int]
    private: Mapping[str, int]
    outliers: tuple[Outlier, ...]
    against: str = ""
    drift: tuple[Drift, ...] = ()
