"""What an endpoint's traces say as a whole."""

from __future__ import annotations

import time

from kedge.app.project import Project
from kedge.monitor.summary import TrafficSummary, summarize

_MANY = 10_000


def traffic(project: Project, endpoint: str, *, seconds: float = 300.0) -> TrafficSummary:
    """An endpoint's requests of the last so many seconds (the newest 10,000): how many, how fast, how often wrong."""
    since = time.time() - seconds
    return summarize(project.traces.search(endpoint=endpoint, since=since, limit=_MANY), seconds=seconds)
