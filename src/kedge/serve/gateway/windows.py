"""Windows of time in which usage is counted: minutes, days and months of UTC, named so that they sort."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Period = Literal["minute", "day", "month"]

_KEPT_MINUTES = timedelta(minutes=10)
_KEPT_DAYS = timedelta(days=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One minute, day or month: its name, its end, and the name of the oldest that is worth keeping ("": all are)."""

    name: str
    ends: datetime
    forget: str


def window_at(now: datetime, period: Period) -> Window:
    """The window that a time in UTC is in."""
    if period == "minute":
        start = now.replace(second=0, microsecond=0)
        return Window(name=_minute(start), ends=start + timedelta(minutes=1), forget=_minute(start - _KEPT_MINUTES))
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        forget = f"{start - _KEPT_DAYS:%Y-%m-%d}"
        return Window(name=f"{start:%Y-%m-%d}", ends=start + timedelta(days=1), forget=forget)
    following = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
    return Window(name=f"{start:%Y-%m}", ends=following, forget="")


def _minute(start: datetime) -> str:
    return f"{start:%Y-%m-%dT%H:%M}"
