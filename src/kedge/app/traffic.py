"""What an endpoint's traces say as a whole."""

from __future__ import annotations

import time

from kedge.app.project import Project
from kedge.monitor.summary import TrafficSummary, summarize

_MANY = 10_000


def traffic(project: Project, endpoint: str, *, seconds: float = 300.0) -> TrafficSummary:
    """An endpoint's requests of the last so many seconds (the newest 10,000): how many, how fast, how often wrong.

    What no caller saw is left out: copies for a shadow, replays, and attempts that were made again.
    """
    found = project.traces.search(endpoint=endpoint, since=time.time() - seconds, limit=_MANY)
    return summarize((trace for trace in found if not trace.parent), seconds=seconds)
