"""A project whose ledger and blob store are filled by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kedge.app import models
from kedge.app.project import Project, open_project
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.errors import KedgeError
from kedge.core.manifest import read_manifest, write_artifact
from kedge.core.model import ModelVersion
from kedge.core.release import Endpoint
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.registry.bundle import write_bundle
from kedge.store.blobs.local import LocalBlobs

CONFIG = """
[project]
name = "yard"

[models]
protected = []
"""


class Yard:
    """A project, and short words for what happens in it."""

    def __init__(self, root: Path) -> None:
        (root / "kedge.toml").write_text(CONFIG)
        self.project: Project = open_project(root, principal="user:ada")
        self._runs = 0

    def configure(self, more: str) -> None:
        """Open the project again with more in its file."""
        self.project.close()
        (self.project.root / "kedge.toml").write_text(CONFIG + more)
        self.project = open_project(self.project.root, principal="user:ada")

    def artifact(self, name: str, kind: ArtifactKind = ArtifactKind.REPORT, shared: bytes = b"") -> Artifact:
        """An artifact on record, two files of it; `shared` is a file that others may have too."""
        files: dict[str, Any] = {"own": f"bytes of {name}".encode() * 10}
        if shared:
            files["shared"] = shared
        artifact = write_artifact(self.project.blobs, kind, {"name": name}, files)
        self.project.ledger.artifacts.add(artifact, at=self.project.clock.now())
        return artifact

    def bundle(self, model: Artifact, prompt: str = "{input}") -> Artifact:
        """A bundle of a model, on record."""
        bundle = write_bundle(self.project.blobs, Bundle(model=model.digest, prompt=prompt))
        self.project.ledger.artifacts.add(bundle, at=self.project.clock.now())
        return bundle

    def run(
        self,
        stage: str,
        inputs: Mapping[str, Artifact],
        outputs: Mapping[str, Artifact] | None = None,
        **changes: Any,
    ) -> Run:
        """A run on record: succeeded when it has outputs, running otherwise."""
        self._runs += 1
        facts: dict[str, Any] = {
            "id": f"run-{self._runs:04}",
            "key": f"sha256:{self._runs:064x}",
            "status": RunStatus.RUNNING,
        }
        facts |= {"started": self.project.clock.now()}
        made = Run(
            stage=stage,
            spec=Spec(name=stage),
            inputs={port: artifact.digest for port, artifact in inputs.items()},
            **{**facts, **changes},
        )
        self.project.ledger.runs.start(made)
        if outputs is not None:
            digests = {port: artifact.digest for port, artifact in outputs.items()}
            ended = self.project.clock.now()
            self.project.ledger.runs.finish(made.id, RunStatus.SUCCEEDED, ended=ended, outputs=digests)
        return made

    def line(self, name: str) -> ModelVersion:
        """Dataset, model and bundle, each made by a run from the one before, and registered as a version."""
        dataset = self.artifact(f"{name} data", ArtifactKind.DATASET)
        self.run("data", {}, {"dataset": dataset})
        model = self.artifact(f"{name} model", ArtifactKind.MODEL)
        self.run("train", {"dataset": dataset}, {"model": model})
        bundle = self.bundle(model)
        self.run("bundle", {"model": model}, {"bundle": bundle})
        return models.register(self.project, "schemas", bundle.digest)

    def serve(self, alias: str = "production") -> None:
        """An endpoint that follows an alias."""
        self.project.ledger.releases.bind(Endpoint(name="api", model="schemas", alias=alias))

    def age(self, seconds: float = 7200.0) -> None:
        """Let time pass over every blob."""
        at = time.time() - seconds
        for blob in self.project.blobs.list():
            os.utime(self.file(blob.digest), times=(at, at))

    def file(self, digest: str) -> Path:
        """The file of a blob."""
        assert isinstance(self.project.blobs, LocalBlobs)
        return self.project.blobs.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def recorded(self) -> set[str]:
        """The artifacts on record."""
        return {artifact.digest for artifact in self.project.ledger.artifacts.all()}

    def dangling(self) -> list[str]:
        """The blobs that an artifact on record is made of and that are not there, or not whole."""
        missing = []
        for digest in sorted(self.recorded()):
            try:
                manifest = read_manifest(self.project.blobs, digest)
                for part in (manifest.config, *manifest.layers):
                    self.project.blobs.get(part.digest)
            except KedgeError as error:
                missing.append(f"{digest}: {error}")
        return missing

    def orphans(self) -> set[str]:
        """The blobs that no artifact on record is made of."""
        wanted = self.recorded()
        for digest in list(wanted):
            manifest = read_manifest(self.project.blobs, digest)
            wanted |= {part.digest for part in (manifest.config, *manifest.layers)}
        return {blob.digest for blob in self.project.blobs.list()} - wanted


@pytest.fixture
def yard_in() -> Iterator[Callable[[Path], Yard]]:
    """Makes a fresh project in a folder."""
    made: list[Yard] = []

    def make(folder: Path) -> Yard:
        made.append(Yard(folder))
        return made[-1]

    yield make
    for yard in made:
        yard.project.close()


@pytest.fixture
def yard(yard_in: Callable[[Path], Yard], tmp_path: Path) -> Yard:
    """A fresh project."""
    return yard_in(tmp_path)
