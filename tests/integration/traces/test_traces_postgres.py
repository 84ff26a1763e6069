"""Traces on a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kedge.core.ports import Feedbacks
from kedge.store.traces.open import open_feedback, open_sink, open_traces
from kedge.testing.postgres import TemporaryPostgres
from kedge.testing.traces import FeedbackSuite, TraceStore, TraceStoreSuite, make_trace


@pytest.fixture(scope="module")
def server() -> Iterator[TemporaryPostgres]:
    server = TemporaryPostgres()
    yield server
    server.close()


@pytest.fixture
def url(server: TemporaryPostgres) -> Iterator[str]:
    url = server.database()
    yield url
    server.drop(url)


class TestPostgresTraces(TraceStoreSuite):
    @pytest.fixture
    def store(self, url: str) -> Iterator[TraceStore]:
        store = TraceStore(sink=open_sink(url), reader=open_traces(url))
        yield store
        store.sink.close()
        store.reader.close()


class TestPostgresFeedback(FeedbackSuite):
    @pytest.fixture
    def feedback(self, url: str) -> Iterator[Feedbacks]:
        store = open_feedback(url)
        yield store
        store.close()


def test_traces_wait_for_a_server_that_was_restarted(server: TemporaryPostgres, url: str) -> None:
    sink, reader = open_sink(url), open_traces(url)
    sink.add(make_trace(1))
    deadline = time.monotonic() + 20
    while not reader.count() and time.monotonic() < deadline:
        time.sleep(0.02)
    reader.close()
    server.disconnect(url)
    sink.add(make_trace(2))
    sink.close()
    reader = open_traces(url)
    assert (reader.count(), sink.dropped) == (2, 0)
    reader.close()
