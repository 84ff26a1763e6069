"""What is used of accounts: units counted by windows of time, and places held at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Units wanted of an account in one window: `least`, and up to `most` while the `limit` of the window leaves them.

    Windows of one account are named so that later ones sort after earlier ones; those before `forget` are dropped.
    """

    account: str
    window: str
    least: int
    most: int
    limit: int
    forget: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What was granted of a want, and what the window leaves after it."""

    units: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Places of an account that one holder wants, in place of those it holds. They are free again at `until`."""

    account: str
    holder: str
    places: int
    limit: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was taken of an account in one window."""

    account: str
    window: str
    units: int
