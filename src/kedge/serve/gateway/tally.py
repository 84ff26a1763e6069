"""Counters and histograms for the path of every request: kept as plain numbers, shown when they are asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry


class Counters(Collector):
    """One counter for each set of labels."""

    def __init__(self, name: str, help: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name = name
        self._help = help
        self._labels = labels
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], n: int = 1) -> None:
        """So many more."""
        self._counts[labels] = self._counts.get(labels, 0) + n

    def collect(self) -> Iterable[Metric]:
        """What was counted."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, count in sorted(self._counts.items()):
            family.add_metric(labels, count)
        yield family


class Series:
    """The values of one set of labels, by bucket."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total = 0.0
        self.counts = [0] * (len(bounds) + 1)
        self._bounds = bounds

    def add(self, value: float) -> None:
        """One value more."""
        self.total += value
        self.counts[bisect_left(self._bounds, value)] += 1


class Histograms(Collector):
    """One histogram for each set of labels."""

    def __init__(
        self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._help = help
        self._labels = labels
        self._bounds = bounds
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """One value more."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Series(self._bounds)
        series.add(value)

    def collect(self) -> Iterable[Metric]:
        """What was measured."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for labels, series in sorted(self._series.items()):
            buckets, below = [], 0
            for bound, count in zip((*self._bounds, float("inf")), series.counts, strict=True):
                below += count
                buckets.append((_written(bound), below))
            family.add_metric(labels, buckets, series.total)
        yield family


def _written(bound: float) -> str:
    """A bound as the text format has it."""
    return "+Inf" if bound == float("inf") else repr(float(bound))
