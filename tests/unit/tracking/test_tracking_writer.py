"""The writer between the user's code and the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from kedge.app.metric_writer import MetricWriter
from kedge.core.errors import KedgeError, Refused, Unavailable
from kedge.core.run import Point


class KeptMetrics:
    """Metrics in memory that can be slow, closed or broken."""

    def __init__(self) -> None:
        self.kept: list[Point] = []
        self.batches = 0
        self.open = threading.Event()
        self.open.set()
        self.error: KedgeError | None = None

    def append(self, points: Sequence[Point]) -> None:
        self.open.wait(30)
        if self.error is not None:
            raise self.error
        self.kept.extend(points)
        self.batches += 1

    def history(self, run: str, name: str) -> list[Point]:
        return [point for point in self.kept if (point.run, point.name) == (run, name)]

    def names(self, run: str) -> list[str]:
        return sorted({point.name for point in self.kept if point.run == run})


def make_point(step: int, name: str = "loss") -> Point:
    return Point(run="run-1", name=name, step=step, value=float(step), at=0.0)


def add_all(writer: MetricWriter, steps: int, name: str = "loss") -> None:
    for step in range(steps):
        writer.add(make_point(step, name))


def test_a_flush_makes_everything_taken_so_far_durable() -> None:
    metrics = KeptMetrics()
    writer = MetricWriter(metrics, every=60)
    add_all(writer, 100)
    writer.flush()
    assert metrics.kept == [make_point(step) for step in range(100)]
    writer.close()


def test_values_are_written_in_time_without_being_asked_for() -> None:
    metrics = KeptMetrics()
    writer = MetricWriter(metrics)
    began = time.monotonic()
    writer.add(make_point(1))
    while not metrics.kept and time.monotonic() - began < 10:
        time.sleep(0.01)
    assert time.monotonic() - began < 1
    writer.close()


def test_many_values_go_in_few_batches() -> None:
    metrics = KeptMetrics()
    writer = MetricWriter(metrics)
    add_all(writer, 25_000)
    writer.close()
    assert len(metrics.kept) == 25_000
    assert metrics.batches < 10


def test_a_full_queue_makes_the_caller_wait_and_loses_nothing() -> None:
    metrics = KeptMetrics()
    metrics.open.clear()
    writer = MetricWriter(metrics, capacity=10, every=0)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(add_all, writer, 100)
        with pytest.raises(TimeoutError):
            adding.result(0.2)
        metrics.open.set()
        adding.result(10)
    writer.close()
    assert [point.step for point in metrics.kept] == list(range(100))


def test_values_of_many_threads_are_all_kept() -> None:
    metrics = KeptMetrics()
    writer = MetricWriter(metrics, capacity=50)
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(add_all, writer, 500, f"m{number}")
    writer.close()
    assert metrics.names("run-1") == [f"m{number}" for number in range(8)]
    for number in range(8):
        assert [point.step for point in metrics.history("run-1", f"m{number}")] == list(range(500))


def test_an_unavailable_ledger_is_tried_again_until_it_is_back() -> None:
    metrics = KeptMetrics()
    metrics.error = Unavailable("away")
    writer = MetricWriter(metrics, every=0)
    writer.add(make_point(1))
    time.sleep(0.1)
    writer.add(make_point(2))
    metrics.error = None
    writer.flush()
    assert [point.step for point in metrics.kept] == [1, 2]
    writer.close()


def test_a_flush_tells_when_the_ledger_stays_away_and_keeps_the_values() -> None:
    metrics = KeptMetrics()
    metrics.error = Unavailable("away")
    writer = MetricWriter(metrics, every=0, patience=0.1)
    writer.add(make_point(1))
    with pytest.raises(Unavailable, match="away"):
        writer.flush()
    metrics.error = None
    writer.close()
    assert metrics.kept == [make_point(1)]


def test_an_error_that_will_not_pass_is_told_at_once() -> None:
    metrics = KeptMetrics()
    metrics.error = Refused("read-only")
    writer = MetricWriter(metrics, every=0)
    writer.add(make_point(1))
    with pytest.raises(Refused):
        writer.flush()
    with pytest.raises(Refused):
        writer.add(make_point(2))
    with pytest.raises(Refused):
        writer.close()


def test_a_writer_that_was_closed_can_be_used_again_and_leaves_no_thread() -> None:
    before = threading.enumerate()
    metrics = KeptMetrics()
    writer = MetricWriter(metrics)
    writer.close()
    writer.add(make_point(1))
    writer.close()
    assert metrics.kept == [make_point(1)]
    assert threading.enumerate() == before
