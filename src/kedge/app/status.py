"""The whole line on one screen: stages, verdicts, aliases, endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kedge.app.project import Project
from kedge.app.traffic import traffic
from kedge.core.ledger import RunQuery
from kedge.core.model import AliasMove, ModelVersion, RecordedVerdict
from kedge.core.release import Endpoint, Heartbeat, Release, Role
from kedge.core.run import Run
from kedge.monitor.summary import TrafficSummary

FRESH = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """A stage of the project file and its newest run, if it ever ran."""

    stage: str
    step: str
    run: Run | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasStatus:
    """Where an alias points, since when, and the newest verdict on that bundle."""

    move: AliasMove
    version: ModelVersion | None
    verdict: RecordedVerdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """What an endpoint was sent and what its gateways say of themselves."""

    endpoint: Endpoint
    releases: Mapping[Role, Release]
    gateways: tuple[Heartbeat, ...]
    health: str  # serving | swapping | unhealthy | down
    traffic: TrafficSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything `kedge status` shows."""

    project: str
    at: datetime
    stages: tuple[StageStatus, ...]
    aliases: tuple[AliasStatus, ...]
    endpoints: tuple[EndpointStatus, ...]


def status(project: Project) -> Status:
    """Read the whole line from the ledger."""
    return Status(
        project=project.config.project.name,
        at=project.clock.now(),
        stages=tuple(
            StageStatus(stage=name, step=stage.step, run=_newest(project, name))
            for name, stage in project.config.stages.items()
        ),
        aliases=tuple(_alias(project, move) for move in project.ledger.models.aliases()),
        endpoints=tuple(_endpoint(project, endpoint) for endpoint in project.ledger.releases.endpoints()),
    )


def alive(project: Project, endpoint: str) -> list[Heartbeat]:
    """The gateways of an endpoint that were heard of in the last seconds."""
    horizon = project.clock.now() - FRESH
    return [beat for beat in project.ledger.releases.heartbeats() if beat.endpoint == endpoint and beat.at >= horizon]


def _newest(project: Project, stage: str) -> Run | None:
    found = project.ledger.runs.search(RunQuery(where=f"stage = '{stage}'", limit=1))
    return found[0] if found else None


def _alias(project: Project, move: AliasMove) -> AliasStatus:
    versions = {v.version: v for v in project.ledger.models.versions(move.model)}
    version = versions.get(move.after)
    verdicts = project.ledger.verdicts.about(version.bundle) if version else []
    return AliasStatus(move=move, version=version, verdict=verdicts[-1] if verdicts else None)


def _endpoint(project: Project, endpoint: Endpoint) -> EndpointStatus:
    releases = project.ledger.releases.current(endpoint.name)
    gateways = alive(project, endpoint.name)
    return EndpointStatus(
        endpoint=endpoint,
        releases=releases,
        gateways=tuple(gateways),
        health=_health(releases, gateways),
        traffic=traffic(project, endpoint.name),
    )


def _health(releases: Mapping[Role, Release], gateways: Sequence[Heartbeat]) -> str:
    if not gateways:
        return "down"
    if not all(gateway.healthy for gateway in gateways):
        return "unhealthy"
    stable = releases.get(Role.STABLE)
    return "serving" if stable and all(gateway.bundle == stable.bundle for gateway in gateways) else "swapping"
