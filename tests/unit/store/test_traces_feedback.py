"""What was said of the answers, in SQLite and in memory; and a trace store of an older kedge."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.core.errors import Invalid
from kedge.core.ports import Feedbacks
from kedge.store.traces.open import open_feedback, open_sink, open_traces
from kedge.testing.traces import FeedbackSuite, MemoryFeedback, make_feedback, make_trace


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/traces.db"


class TestMemoryFeedback(FeedbackSuite):
    @pytest.fixture
    def feedback(self) -> Feedbacks:
        return MemoryFeedback()


class TestSqliteFeedback(FeedbackSuite):
    @pytest.fixture
    def feedback(self, url: str) -> Iterator[Feedbacks]:
        store = open_feedback(url)
        yield store
        store.close()


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_value_is_from_bad_to_good(value: float) -> None:
    with pytest.raises(Invalid, match="value"):
        make_feedback(value=value)


def test_old_feedback_is_purged_with_the_traces(url: str) -> None:
    feedback, reader = open_feedback(url), open_traces(url)
    for number in range(4):
        feedback.add(make_feedback(number))
    reader.purge(1_000_002.0)
    assert [number for number in range(4) if feedback.of(f"{number:032x}")] == [2, 3]
    feedback.close()
    reader.close()


@pytest.mark.parametrize("version", [1, 2])
def test_a_trace_store_of_an_older_kedge_is_brought_up_to_date(version: int, url: str, tmp_path: Path) -> None:
    sink = open_sink(url)
    sink.add(make_trace(1))
    sink.close()
    with sqlite3.connect(tmp_path / "traces.db") as other:
        other.execute("DROP TABLE feedback")
        for column in ("tenant", "role", "cache", "parent", "detail") if version == 1 else ():
            other.execute(f"ALTER TABLE traces DROP COLUMN {column}")
        other.execute("UPDATE traces_schema SET version = ?", (version,))
    other.close()
    reader, feedback = open_traces(url), open_feedback(url)
    assert reader.get(f"{1:032x}") == make_trace(1)
    feedback.add(make_feedback(1))
    assert feedback.of(f"{1:032x}") == [make_feedback(1)]
    reader.close()
    feedback.close()
