"""What a set of traces says as a whole: how many, how often wrong, how fast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kedge.core.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Half, 95 and 99 of 100 values are at most these; all 0 without values."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSummary:
    """Requests over some seconds. `errors` are those that were the endpoint's fault (5xx), `refused` the caller's (4xx)."""

    seconds: float
    requests: int = 0
    errors: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: Quantiles = Quantiles()
    first_token_ms: Quantiles = Quantiles()

    @property
    def error_rate(self) -> float:
        """Errors to a request, 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def requests_per_second(self) -> float:
        """How many requests came in a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def summarize(traces: Iterable[Trace], *, seconds: float) -> TrafficSummary:
    """The summary of the traces of so many seconds. Times are those of requests that were answered."""
    kept = list(traces)
    answered = [trace for trace in kept if trace.status < 400]
    return TrafficSummary(
        seconds=seconds,
        requests=len(kept),
        errors=sum(trace.status >= 500 for trace in kept),
        refused=sum(400 <= trace.status < 500 for trace in kept),
        prompt_tokens=sum(trace.prompt_tokens for trace in kept),
        completion_tokens=sum(trace.completion_tokens for trace in kept),
        latency_ms=quantiles([trace.latency_ms for trace in answered]),
        first_token_ms=quantiles([trace.first_token_ms for trace in answered if trace.first_token_ms]),
    )


def quantiles(values: Sequence[float]) -> Quantiles:
    """The smallest value that enough of all are not above (nearest rank)."""
    if not values:
        return Quantiles()
    ranked = sorted(values)

    def rank(share: float) -> float:
        return ranked[math.ceil(share * len(ranked)) - 1]

    return Quantiles(p50=rank(0.5), p95=rank(0.95), p99=rank(0.99))
