"""Traces kept in memory, and what every trace store must do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from kedge.core.errors import NotFound
from kedge.core.ports import Feedbacks, Numbered, TraceReader, TraceSink
from kedge.core.trace import Feedback, Trace


class MemoryTraces:
    """A TraceSink and TraceReader in one. `capacity` bounds it, to show what happens when traces are dropped."""

    def __init__(self, capacity: int | None = None) -> None:
        self.traces: list[Trace] = []
        self.capacity = capacity
        self.closed = False
        self._dropped = 0

    def add(self, trace: Trace) -> None:
        """Keep a trace, or drop and count it when full or closed; one that is kept already stays as it is."""
        if self.closed or (self.capacity is not None and len(self.traces) >= self.capacity):
            self._dropped += 1
        elif all(kept.id != trace.id for kept in self.traces):
            self.traces.append(trace)

    @property
    def dropped(self) -> int:
        """How many were dropped."""
        return self._dropped

    def close(self) -> None:
        """Remember that it was closed; what is kept stays readable."""
        self.closed = True

    def get(self, id: str) -> Trace:
        """The trace with this id. `NotFound`."""
        for trace in self.traces:
            if trace.id == id:
                return trace
        raise NotFound(f"no trace {id[:80]!r}", address=f"trace:{id[:80]}", hint="it was dropped, or never written")

    def search(self, *, endpoint: str = "", bundle: str = "", since: float = 0.0, limit: int = 100) -> list[Trace]:
        """Traces by endpoint, bundle and time, newest first."""
        found = (
            trace
            for trace in self.traces
            if trace.at >= since and endpoint in ("", trace.endpoint) and bundle in ("", trace.bundle)
        )
        return sorted(found, key=lambda trace: trace.at, reverse=True)[:limit]

    def after(self, number: int, *, endpoint: str, limit: int = 1000) -> list[Numbered[Trace]]:
        """An endpoint's traces written after a number, in that order."""
        kept = [Numbered(number=i, value=trace) for i, trace in enumerate(self.traces, 1)]
        return [each for each in kept if each.number > number and each.value.endpoint == endpoint][:limit]

    def last(self) -> int:
        """The number of the newest trace."""
        return len(self.traces)

    def count(self, *, bundle: str = "") -> int:
        """How many are kept, of all or of one bundle."""
        return sum(bundle in ("", trace.bundle) for trace in self.traces)

    def purge(self, before: float) -> int:
        """Drop those older than `before`."""
        kept = [trace for trace in self.traces if trace.at >= before]
        purged, self.traces = len(self.traces) - len(kept), kept
        return purged


class MemoryFeedback:
    """Feedbacks in a list."""

    def __init__(self) -> None:
        self.said: list[Feedback] = []

    def add(self, said: Feedback) -> None:
        """Keep what was said."""
        self.said.append(said)

    def of(self, trace: str) -> list[Feedback]:
        """What was said of one answer, oldest first."""
        return [each for each in self.said if each.trace == trace]

    def after(self, number: int, *, endpoint: str, limit: int = 1000) -> list[Numbered[Feedback]]:
        """What was said of an endpoint's answers after a number, in that order."""
        kept = [Numbered(number=i, value=each) for i, each in enumerate(self.said, 1)]
        return [each for each in kept if each.number > number and each.value.endpoint == endpoint][:limit]

    def last(self) -> int:
        """The number of the newest feedback."""
        return len(self.said)

    def close(self) -> None:
        """Nothing is held."""


def make_feedback(number: int = 1, **changes: object) -> Feedback:
    """A thumb up for a trace."""
    said = Feedback(
        trace=f"{number:032x}",
        name="thumb",
        value=1.0,
        at=1_000_000.0 + number,
        by="key_1",
        endpoint="schemas",
        bundle="sha256:" + "b" * 64,
    )
    return replace(said, **changes)  # type: ignore[arg-type]  # the names are the test's own affair


def make_trace(number: int = 1, **changes: object) -> Trace:
    """A trace whose id and time follow from a number."""
    trace = Trace(
        id=f"{number:032x}",
        at=1_000_000.0 + number,
        endpoint="schemas",
        bundle="sha256:" + "b" * 64,
        key="key_1",
        route="/v1/chat/completions",
        status=200,
        prompt="def f(a):",
        answer='{"name": "f", "args": ["a"]}',
        prompt_tokens=5,
        completion_tokens=9,
        latency_ms=12.5,
        first_token_ms=3.25,
    )
    return replace(trace, **changes)  # type: ignore[arg-type]  # the names are the test's own affair


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStore:
    """Both ends of one trace store."""

    sink: TraceSink
    reader: TraceReader


class TraceStoreSuite:
    """What every trace store must do. Subclass it in a test module and give it the fixture `store`: an empty one."""

    @pytest.fixture
    def store(self) -> TraceStore:
        """An empty store."""
        raise NotImplementedError

    def test_a_trace_comes_back_as_it_was_added(self, store: TraceStore) -> None:
        """Every field, by id."""
        store.sink.add(make_trace(1, error="limited", status=429))
        store.sink.close()
        assert store.reader.get(f"{1:032x}") == make_trace(1, error="limited", status=429)
        assert store.reader.count() == 1

    def test_an_unknown_trace_is_not_found(self, store: TraceStore) -> None:
        """The error names it."""
        with pytest.raises(NotFound, match="no trace"):
            store.reader.get("f" * 32)

    def test_traces_are_found_by_what_they_are_about(self, store: TraceStore) -> None:
        """By endpoint, bundle and time, newest first, up to a limit."""
        for number in range(10):
            store.sink.add(make_trace(number, endpoint=f"e{number % 2}", bundle=f"b{number % 3}"))
        store.sink.close()

        def numbers(endpoint: str = "", bundle: str = "", since: float = 0.0, limit: int = 100) -> list[int]:
            found = store.reader.search(endpoint=endpoint, bundle=bundle, since=since, limit=limit)
            return [int(trace.id, 16) for trace in found]

        assert numbers() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert numbers(endpoint="e1") == [9, 7, 5, 3, 1]
        assert numbers(bundle="b0") == [9, 6, 3, 0]
        assert numbers(endpoint="e1", bundle="b0") == [9, 3]
        assert numbers(since=1_000_007.0, limit=2) == [9, 8]
        assert numbers(endpoint="none") == []
        assert numbers(endpoint="none", bundle="b0") == []
        assert store.reader.count(bundle="b0") == 4
        assert store.reader.count(bundle="b0") == 4

    def test_the_first_trace_of_an_id_stays(self, store: TraceStore) -> None:
        """What was handed out with a receipt does not change."""
        store.sink.add(make_trace(1))
        store.sink.add(make_trace(1, answer="another"))
        store.sink.close()
        assert store.reader.get(f"{1:032x}") == make_trace(1)

    def test_text_that_a_database_refuses_loses_no_trace(self, store: TraceStore) -> None:
        """NUL and half a surrogate pair, as a hostile caller sends them."""
        for number, prompt in enumerate(["zero\0", "half \ud800", "\N{ANCHOR}", "plain"]):
            store.sink.add(make_trace(number, prompt=prompt))
        store.sink.close()
        assert store.reader.count() == 4
        assert store.sink.dropped == 0
        assert store.reader.get(f"{2:032x}").prompt == "\N{ANCHOR}"

    @pytest.mark.parametrize("count", [1, 7, 64, 1337])
    def test_as_many_as_come_at_once_are_kept_in_their_order(self, store: TraceStore, count: int) -> None:
        """However many are written together, and though one is there twice."""
        for number in range(count):
            store.sink.add(make_trace(number, prompt=f"the prompt {number}"))
        store.sink.add(make_trace(count // 2, answer="another"))
        store.sink.close()
        assert store.sink.dropped == 0
        found = [each.value for each in store.reader.after(0, endpoint="schemas", limit=2000)]
        assert found == [make_trace(number, prompt=f"the prompt {number}") for number in range(count)]

    def test_old_traces_are_purged(self, store: TraceStore) -> None:
        """And the rest stays."""
        for number in range(10):
            store.sink.add(make_trace(number))
        store.sink.close()
        assert store.reader.purge(1_000_004.0) == 4
        assert store.reader.purge(1_000_004.0) == 0
        assert [int(trace.id, 16) for trace in store.reader.search()] == [9, 8, 7, 6, 5, 4]

    def test_traces_are_read_on_from_a_number(self, store: TraceStore) -> None:
        """In the order in which they were written, whatever their time."""
        for number in range(9, -1, -1):
            store.sink.add(make_trace(number, endpoint=f"e{number % 2}"))
        store.sink.close()
        first = store.reader.after(0, endpoint="e1", limit=2)
        assert [int(each.value.id, 16) for each in first] == [9, 7]
        rest = store.reader.after(first[-1].number, endpoint="e1")
        assert [int(each.value.id, 16) for each in rest] == [5, 3, 1]
        assert store.reader.after(store.reader.last(), endpoint="e1") == []

    def test_what_comes_after_the_end_is_counted(self, store: TraceStore) -> None:
        """Closing twice is no error; adding afterwards is a drop."""
        store.sink.close()
        store.sink.close()
        store.sink.add(make_trace(1))
        assert store.sink.dropped == 1
        assert store.reader.count() == 0


class FeedbackSuite:
    """What every store of feedback must do. Subclass it and give it the fixture `feedback`: an empty one."""

    @pytest.fixture
    def feedback(self) -> Feedbacks:
        """An empty store."""
        raise NotImplementedError

    def test_everything_that_was_said_of_an_answer_is_kept_in_order(self, feedback: Feedbacks) -> None:
        """Also what was said again under the same name."""
        said = [make_feedback(1), make_feedback(2), make_feedback(1, value=0.25, comment="no \N{ANCHOR}", by="key_2")]
        for each in said:
            feedback.add(each)
        assert feedback.of(f"{1:032x}") == [said[0], said[2]]
        assert feedback.of("f" * 32) == []

    def test_feedback_is_read_on_from_a_number(self, feedback: Feedbacks) -> None:
        """Of one endpoint."""
        assert feedback.last() == 0
        for number in range(6):
            feedback.add(make_feedback(number, endpoint=f"e{number % 2}"))
        first = feedback.after(0, endpoint="e1", limit=2)
        assert [int(each.value.trace, 16) for each in first] == [1, 3]
        assert [int(each.value.trace, 16) for each in feedback.after(first[-1].number, endpoint="e1")] == [5]
        assert feedback.last() == 6

    def test_a_comment_that_a_database_refuses_is_kept_readable(self, feedback: Feedbacks) -> None:
        """NUL and half a surrogate pair."""
        feedback.add(make_feedback(1, comment="zero\0 half \ud800"))
        assert feedback.of(f"{1:032x}")[0].comment.startswith("zero")
