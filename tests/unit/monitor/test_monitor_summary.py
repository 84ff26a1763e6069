"""Traces add up to what a person wants to know."""

from __future__ import annotations

from typing import Any

import pytest

from kedge.core.trace import Trace
from kedge.monitor.summary import Quantiles, TrafficSummary, quantiles, summarize


def trace(**more: Any) -> Trace:
    facts: dict[str, Any] = {
        "id": "0",
        "at": 0.0,
        "endpoint": "e",
        "bundle": "b",
        "key": "k",
        "route": "/",
        "status": 200,
    }
    return Trace(**{**facts, **more})


def test_nothing_adds_up_to_nothing() -> None:
    assert summarize([], seconds=60) == TrafficSummary(seconds=60)
    assert summarize([], seconds=60).error_rate == 0
    assert summarize([], seconds=0).requests_per_second == 0


def test_errors_are_the_endpoints_and_refusals_the_callers() -> None:
    summary = summarize([trace(status=status) for status in (200, 200, 400, 499, 503, 504, 200, 200)], seconds=4)
    assert (summary.requests, summary.errors, summary.refused) == (8, 2, 2)
    assert (summary.error_rate, summary.requests_per_second) == (0.25, 2.0)


def test_times_are_those_of_answers_and_tokens_of_all() -> None:
    traces = [
        trace(latency_ms=10.0 * i, first_token_ms=float(i), prompt_tokens=2, completion_tokens=i) for i in range(1, 101)
    ]
    summary = summarize([*traces, trace(status=504, latency_ms=1e9, prompt_tokens=5)], seconds=1)
    assert summary.latency_ms == Quantiles(p50=500, p95=950, p99=990)
    assert summary.first_token_ms == Quantiles(p50=50, p95=95, p99=99)
    assert (summary.prompt_tokens, summary.completion_tokens) == (205, 5050)


@pytest.mark.parametrize(
    ("values", "expected"), [([], (0, 0, 0)), ([7.0], (7, 7, 7)), ([2.0, 1.0], (1, 2, 2)), ([3.0, 1.0, 2.0], (2, 3, 3))]
)
def test_quantiles_are_values_that_were_measured(values: list[float], expected: tuple[float, float, float]) -> None:
    assert quantiles(values) == Quantiles(p50=expected[0], p95=expected[1], p99=expected[2])
