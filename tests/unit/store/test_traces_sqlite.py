"""Traces in SQLite, and in memory."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.core.errors import Unavailable
from kedge.store.traces.open import open_sink, open_traces
from kedge.store.traces.sink import DatabaseSink
from kedge.testing.traces import MemoryTraces, TraceStore, TraceStoreSuite, make_trace


class TestMemoryTraces(TraceStoreSuite):
    @pytest.fixture
    def store(self) -> TraceStore:
        traces = MemoryTraces()
        return TraceStore(sink=traces, reader=traces)


class TestSqliteTraces(TraceStoreSuite):
    @pytest.fixture
    def store(self, url: str) -> Iterator[TraceStore]:
        store = TraceStore(sink=open_sink(url), reader=open_traces(url))
        yield store
        store.sink.close()
        store.reader.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/traces.db"


def test_a_trace_can_be_read_at_once(url: str) -> None:
    sink, reader = open_sink(url), open_traces(url)
    sink.add(make_trace(1))
    deadline = time.monotonic() + 10
    while not reader.count() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert reader.count() == 1
    sink.close()
    reader.close()


def test_a_full_queue_drops_and_counts_and_never_blocks(url: str, tmp_path: Path) -> None:
    sink = DatabaseSink(url, capacity=100)
    with sqlite3.connect(tmp_path / "deep" / "traces.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # holds the writer up
        sink.add(make_trace(0))
        time.sleep(0.2)
        started = time.monotonic()
        for number in range(1, 1001):
            sink.add(make_trace(number))
        assert time.monotonic() - started < 1.0
        other.execute("ROLLBACK")
    other.close()
    sink.close()
    reader = open_traces(url)
    assert sink.dropped >= 800
    assert reader.count() + sink.dropped == 1001
    reader.close()


def test_large_traces_are_bounded_by_their_bytes(url: str, tmp_path: Path) -> None:
    sink = DatabaseSink(url, capacity_bytes=1 << 20)
    with sqlite3.connect(tmp_path / "deep" / "traces.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(100):
            sink.add(make_trace(number, prompt="x" * (1 << 18)))
        assert sink.dropped >= 90
        other.execute("ROLLBACK")
    other.close()
    sink.close()


def test_a_trace_no_database_takes_is_dropped_alone(url: str) -> None:
    sink, reader = open_sink(url), open_traces(url)
    sink.add(make_trace(1))
    sink.add(make_trace(2, prompt_tokens=1 << 80))
    sink.add(make_trace(3))
    sink.close()
    assert reader.count() == 2
    assert sink.dropped == 1
    reader.close()


def test_several_threads_may_add(url: str) -> None:
    sink, reader = open_sink(url), open_traces(url)

    def add(first: int) -> None:
        for number in range(first, first + 500):
            sink.add(make_trace(number))

    threads = [threading.Thread(target=add, args=(first,)) for first in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    assert (reader.count(), sink.dropped) == (2000, 0)
    reader.close()


def test_a_store_of_a_newer_kedge_is_refused(url: str, tmp_path: Path) -> None:
    open_traces(url).close()
    with sqlite3.connect(tmp_path / "deep" / "traces.db") as other:
        other.execute("UPDATE traces_schema SET version = 99")
    other.close()
    with pytest.raises(Unavailable, match="a newer kedge wrote it"):
        open_traces(url)


def test_a_file_that_is_no_database_is_unavailable(url: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "traces.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable, match="does not answer"):
        open_traces(url)


def test_purging_gives_the_space_back(url: str, tmp_path: Path) -> None:
    sink, reader = open_sink(url), open_traces(url)
    for number in range(3000):
        sink.add(make_trace(number, prompt="x" * 1000))
    sink.close()
    with sqlite3.connect(tmp_path / "deep" / "traces.db") as other:
        before = other.execute("PRAGMA page_count").fetchone()[0]
        assert reader.purge(1_000_000.0 + 2900) == 2900
        assert other.execute("PRAGMA page_count").fetchone()[0] < before / 5
    other.close()
    reader.close()


def test_a_database_that_takes_few_values_at_once_gets_smaller_statements(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kedge.store.traces.sink._room", lambda engine: 999)  # as SQLite was built before 3.32
    sink, reader = DatabaseSink(url), open_traces(url)
    assert max(statement.count("?") for statement in sink._statements.values()) <= 999
    for number in range(777):
        sink.add(make_trace(number))
    sink.close()
    assert (reader.count(), sink.dropped) == (777, 0)
    reader.close()
