"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FixedClock:
    """A Clock that shows `at`; `tick` seconds pass after each look (0: it stands still)."""

    def __init__(self, at: datetime = START, *, tick: float = 0.0) -> None:
        self.at = at
        self.tick = timedelta(seconds=tick)

    def now(self) -> datetime:
        """The time it shows, in UTC."""
        shown = self.at
        self.at += self.tick
        return shown

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
