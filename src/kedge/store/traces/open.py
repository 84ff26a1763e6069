"""Opens the trace store by URL; the database driver is loaded only when a store is opened."""

from __future__ import annotations

from importlib import import_module

from kedge.core.ports import Feedbacks, TraceReader, TraceSink

__all__ = ["Feedbacks", "TraceReader", "TraceSink", "open_feedback", "open_sink", "open_traces"]


def open_sink(url: str) -> TraceSink:
    """Where a gateway puts its traces: `sqlite:///path.db` or `postgresql+psycopg://...`. `Unavailable`."""
    sink: TraceSink = import_module("kedge.store.traces.sink").DatabaseSink(url)
    return sink


def open_traces(url: str) -> TraceReader:
    """The traces at `sqlite:///path.db` or `postgresql+psycopg://...`. `Unavailable`."""
    reader: TraceReader = import_module("kedge.store.traces.read").DatabaseTraces(url)
    return reader


def open_feedback(url: str) -> Feedbacks:
    """What was said of the answers, beside the traces at `url`. `Unavailable`."""
    feedback: Feedbacks = import_module("kedge.store.traces.feedback").DatabaseFeedback(url)
    return feedback
