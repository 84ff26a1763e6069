"""Look at one thing by any of its names: a run, an artifact or a version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedge.app import models, runs
from kedge.app.models import ModelView
from kedge.app.project import Project
from kedge.app.runs import RunView
from kedge.core.artifact import Artifact, Blob
from kedge.core.errors import NotFound
from kedge.core.manifest import read_config, read_manifest
from kedge.core.model import ModelVersion
from kedge.core.run import Run

__all__ = ["ArtifactView", "ModelView", "RunView", "show"]


HEX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactView:
    """An artifact with what it holds, the runs that made and used it, and the versions it is in."""

    artifact: Artifact
    config: Mapping[str, Any]
    layers: tuple[Blob, ...]
    made_by: tuple[Run, ...]
    used_by: tuple[Run, ...]
    versions: tuple[ModelVersion, ...]


def show(project: Project, name: str) -> RunView | ArtifactView | ModelView:
    """What `name` names: `schemas@7`, a model, a stage (its newest run), a run or an artifact by digest or beginning."""
    if "@" in name:
        return models.show(project, name)
    if name.startswith("sha256:"):
        return _artifact(project, name)
    if name in project.config.stages:
        return runs.show(project, name)
    if project.ledger.models.versions(name):
        return models.show(project, name)
    for look in (runs.show, _artifact) if HEX.fullmatch(name) else (runs.show,):
        try:
            return look(project, name)
        except NotFound:
            continue
    raise NotFound(
        f"nothing is called {name!r}",
        address=name,
        hint="kedge runs lists runs, kedge models lists models and versions",
    )


def _artifact(project: Project, name: str) -> ArtifactView:
    ledger = project.ledger
    artifact = ledger.artifacts.get(name)
    digest = artifact.digest
    return ArtifactView(
        artifact=artifact,
        config=read_config(project.blobs, digest),
        layers=read_manifest(project.blobs, digest).layers,
        made_by=tuple(ledger.runs.producing(digest)),
        used_by=tuple(ledger.runs.using(digest)),
        versions=tuple(v for v in ledger.models.versions() if digest in (v.bundle, v.model, v.card)),
    )
