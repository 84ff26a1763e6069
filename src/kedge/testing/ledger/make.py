"""Values to put into a ledger, made with as few words as a test needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.hashing import digest
from kedge.core.ledger import Ledger
from kedge.core.model import AliasMove, ModelVersion
from kedge.core.release import Endpoint, Release, Role
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float = 0) -> datetime:
    """A time that many seconds after the start of 2026."""
    return START + timedelta(seconds=seconds)


def make_digest(name: str) -> str:
    """A digest that stands for `name`."""
    return digest(name.encode())


def make_run(id: str = "run-1", **changes: Any) -> Run:
    """A running run; `args` are the arguments of its step."""
    args: Mapping[str, Any] = changes.pop("args", {})
    facts = {"stage": "train", "key": make_digest("key"), "status": RunStatus.RUNNING, "started": at()}
    return Run(id=id, spec=Spec(name="train", args=args), **{**facts, **changes})


def add_artifact(ledger: Ledger, name: str, kind: ArtifactKind = ArtifactKind.MODEL) -> str:
    """Record an artifact and return its digest."""
    ledger.artifacts.add(Artifact(digest=make_digest(name), kind=kind, size=len(name)), at=at())
    return make_digest(name)


def add_version(ledger: Ledger, name: str = "schemas", bundle: str = "bundle") -> ModelVersion:
    """Record a bundle with its weights, and register it as the next version of a model."""
    version = ModelVersion(
        name=name,
        version=0,
        bundle=add_artifact(ledger, bundle, ArtifactKind.BUNDLE),
        model=add_artifact(ledger, f"weights of {bundle}"),
        registered=at(),
        by="user:ada",
        run="run-1",
    )
    return ledger.models.register(version)


def make_move(after: int, before: int | None = None, **changes: Any) -> AliasMove:
    """A move of `schemas@production`."""
    facts = {"model": "schemas", "alias": "production", "at": at(), "by": "user:ada"}
    return AliasMove(before=before, after=after, **{**facts, **changes})


def send_release(ledger: Ledger, version: ModelVersion, role: Role = Role.STABLE, endpoint: str = "api") -> Release:
    """Bind the endpoint and release a version to it."""
    ledger.releases.bind(Endpoint(name=endpoint, model=version.name, alias="production"))
    release = Release(
        id=0,
        endpoint=endpoint,
        model=version.name,
        version=version.version,
        bundle=version.bundle,
        role=role,
        share=1.0,
        at=at(),
        by="user:ada",
    )
    return ledger.releases.send(release)
