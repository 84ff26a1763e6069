"""What is counted, and GET /metrics in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.routing import Lane
from kedge.serve.gateway.tally import Counters, Histograms

CONTENT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_READ, _MADE = ("prompt",), ("completion",)
_GUARD_SECONDS = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


class Metrics:
    """The counters of one gateway process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counters("kedge_requests", "Requests by route and status.", ("route", "status"), self.registry)
        self.tokens = Counters("kedge_tokens", "Tokens read and written.", ("kind",), self.registry)
        self.latency = self._histogram("kedge_request_duration_seconds", "From request to the end of the answer.")
        self.first_token = self._histogram("kedge_first_token_seconds", "From request to the first text of the answer.")
        self.restarts = self._counter("kedge_engine_restarts", "Engine processes started again after a crash.")
        self.swaps = self._counter("kedge_bundle_swaps", "Changes of the bundle that answers, by outcome.", "outcome")
        self.hedges = self._counter("kedge_hedges", "Requests asked of two engines, by the one that won.", "winner")
        self.guard_decisions = Counters(
            "kedge_guard_decisions", "Rulings of guards.", ("guard", "side", "decision"), self.registry
        )
        self.guard_seconds = Histograms(
            "kedge_guard_seconds", "How long a guard took.", ("guard", "side"), _GUARD_SECONDS, self.registry
        )
        self._bundle = Gauge(
            "kedge_bundle_info",
            "The bundle that answers now, by role.",
            ("role", "model", "version", "bundle"),
            registry=self.registry,
        )

    def count(self, route: str, status: int) -> None:
        """One request more."""
        self.requests.add((route, str(status)))

    def observe(self, route: str, *, seconds: float, first: float | None, read: int, made: int) -> None:
        """Times and tokens of one request that an engine saw."""
        label = (route,)
        self.latency.add(label, seconds)
        if first is not None:
            self.first_token.add(label, first)
        self.tokens.add(_READ, read)
        self.tokens.add(_MADE, made)

    def observe_guard(self, guard: str, side: str, seconds: float, decision: str) -> None:
        """One ruling of a guard."""
        self.guard_decisions.add((guard, side, decision))
        self.guard_seconds.add((guard, side), seconds)

    def watch(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A gauge read when it is asked for."""
        Gauge(name, help, registry=self.registry).set_function(read)

    def watch_total(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A counter that is kept elsewhere."""
        self.registry.register(_Total(name, help, read))

    def show_bundles(self, lanes: Iterable[Lane]) -> None:
        """Name the bundles that answer now, and only them."""
        self._bundle.clear()
        for lane in lanes:
            release = lane.release
            self._bundle.labels(release.role, release.model, str(release.version), release.bundle).set(1)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str) -> Histograms:
        return Histograms(name, help, ("route",), _SECONDS, self.registry)


class _Total(Collector):
    """A counter read when it is asked for."""

    def __init__(self, name: str, help: str, read: Callable[[], float]) -> None:
        self._name = name
        self._help = help
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """The value now."""
        yield CounterMetricFamily(self._name, self._help, value=self._read())


async def show_metrics(metrics: Metrics, exchange: Exchange) -> None:
    """GET /metrics."""
    await exchange.reply(200, generate_latest(metrics.registry), [CONTENT_TYPE])
