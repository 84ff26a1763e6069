"""Bundles sent to endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What part of an endpoint's traffic a release gets."""

    STABLE = "stable"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A bundle sent to an endpoint. The newest release of a role is the one in force; `share` is in 0..1.

    One with a share of 0 ends the one before it.
    """

    id: int
    endpoint: str
    model: str
    version: int
    bundle: str
    role: Role
    share: float
    at: datetime
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A name with an API that serves what one alias of one model points at."""

    name: str
    model: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a gateway process last said of itself. `bundle` is what it answers with now."""

    endpoint: str
    url: str
    host: str
    pid: int
    bundle: str
    healthy: bool
    at: datetime
    detail: str = ""
