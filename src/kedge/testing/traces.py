"""Traces kept in memory, for tests of whatever writes or reads them."""

from __future__ import annotations

from kedge.core.errors import NotFound
from kedge.core.trace import Trace


class MemoryTraces:
    """A TraceSink and TraceReader in one. `capacity` bounds it, to show what happens when traces are dropped."""

    def __init__(self, capacity: int | None = None) -> None:
        self.traces: list[Trace] = []
        self.capacity = capacity
        self.closed = False
        self._dropped = 0

    def add(self, trace: Trace) -> None:
        """Keep a trace, or drop and count it when full."""
        if self.capacity is not None and len(self.traces) >= self.capacity:
            self._dropped += 1
        else:
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

    def count(self) -> int:
        """How many are kept."""
        return len(self.traces)

    def purge(self, before: float) -> int:
        """Drop those older than `before`."""
        kept = [trace for trace in self.traces if trace.at >= before]
        purged, self.traces = len(self.traces) - len(kept), kept
        return purged
