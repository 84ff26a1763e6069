"""What was released to an endpoint, and what answered at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from kedge.app.bound import known_endpoint
from kedge.app.project import Project
from kedge.core.errors import Invalid, NotFound
from kedge.core.release import Release, Role
from kedge.core.rollout import Rollout, RolloutEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What an endpoint answered with at one moment: the release in force of each role."""

    endpoint: str
    at: datetime
    releases: Mapping[Role, Release]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRollout:
    """A rollout with all that happened to it."""

    rollout: Rollout
    events: tuple[RolloutEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHistory:
    """Everything that was sent to an endpoint, and every rollout, oldest first."""

    endpoint: str
    releases: tuple[Release, ...]
    rollouts: tuple[PastRollout, ...]


def history(project: Project, endpoint: str = "") -> EndpointHistory:
    """Everything that was sent to an endpoint, and every rollout. `NotFound`."""
    bound = known_endpoint(project, endpoint)
    ledger = project.ledger
    return EndpointHistory(
        endpoint=bound.name,
        releases=tuple(ledger.releases.history(bound.name)),
        rollouts=tuple(
            PastRollout(rollout=rollout, events=tuple(ledger.rollouts.events(rollout.id)))
            for rollout in ledger.rollouts.history(bound.name)
        ),
    )


def in_force(project: Project, endpoint: str, at: datetime) -> InForce:
    """What an endpoint answered with at a moment. `NotFound` if nothing was released to it by then."""
    bound = known_endpoint(project, endpoint)
    releases: dict[Role, Release] = {}
    for release in project.ledger.releases.history(bound.name):
        if release.at <= at:
            releases[release.role] = release
    releases = {role: release for role, release in releases.items() if release.share > 0}
    if not releases:
        raise NotFound(
            f"nothing was released to {bound.name} by {at.isoformat(sep=' ', timespec='seconds')}",
            address=bound.name,
            hint=f"kedge rollout history {bound.name} lists what was released when",
        )
    return InForce(endpoint=bound.name, at=at, releases=releases)


def read_moment(text: str) -> datetime:
    """A time as a person writes it, as `2026-03-03 10:00`; without a zone it is the local one. `Invalid`."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid(f"not a time: {text!r}", hint='write "2026-03-03 10:00" or 2026-03-03T10:00:00+01:00') from error
    return read.astimezone(UTC)
