"""Opens the trace store by URL; the database driver is loaded only when a store is opened."""

from __future__ import annotations

from importlib import import_module

from kedge.core.ports import TraceReader, TraceSink

__all__ = ["TraceReader", "TraceSink", "open_sink", "open_traces"]


def open_sink(url: str) -> TraceSink:
    """Where a gateway puts its traces: `sqlite:///path.db` or `postgresql+psycopg://...`. `Unavailable`."""
    sink: TraceSink = import_module("kedge.store.traces.sink").DatabaseSink(url)
    return sink


def open_traces(url: str) -> TraceReader:
    """The traces at `sqlite:///path.db` or `postgresql+psycopg://...`. `Unavailable`."""
    reader: TraceReader = import_module("kedge.store.traces.read").DatabaseTraces(url)
    return reader
