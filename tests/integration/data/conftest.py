"""A project with a dataset of real Python source, indexed, and a model that learned from it, recorded by hand."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kedge.app import runs
from kedge.app.project import Project, open_project
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.dataset import Row, Split
from kedge.core.hashing import digest_of
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.core.trace import Receipt, Trace
from kedge.data.read import read_rows
from kedge.registry.bundle import write_bundle
from kedge.store.traces.open import open_sink

PACKAGES = ("json", "email", "http", "asyncio", "html", "logging", "unittest", "urllib", "wsgiref", "xml")
CONFIG = """
[project]
name = "headers"

[stages.data]
step = "dataset"
name = "library"
source = { name = "python-functions", path = "library" }
split = { group = "module", unseen = ["name"], test = 0.2, validation = 0.1 }

[stages.index]
step = "index"
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A project and what was made in it."""

    project: Project
    dataset: str
    index: str
    model: str
    bundle: str

    def rows(self, split: Split) -> list[Row]:
        """The rows of a split."""
        return list(read_rows(self.project.blobs, self.dataset, split))

    def record(self, step: str, inputs: Mapping[str, str], outputs: Mapping[str, Artifact]) -> str:
        """A succeeded run, as a pipeline would record it."""
        now = self.project.clock.now()
        made = {port: artifact.digest for port, artifact in outputs.items()}
        run = Run(
            id=f"{step}-{digest_of(made)[7:13]}",
            stage=step,
            spec=Spec(name=step),
            key=digest_of([step, made]),
            status=RunStatus.RUNNING,
            started=now,
            inputs=inputs,
        )
        for artifact in outputs.values():
            self.project.ledger.artifacts.add(artifact, at=now)
        self.project.ledger.runs.start(run)
        self.project.ledger.runs.finish(run.id, RunStatus.SUCCEEDED, ended=now, outputs=made)
        return run.id

    def answered(self, number: int, prompt: str, answer: str, *, bundle: str = "") -> str:
        """A trace in the store, and the receipt of its answer."""
        trace = Trace(
            id=f"{number:032x}",
            at=1_700_000_000.0 + number,
            endpoint="headers",
            bundle=bundle or self.bundle,
            key="key_1",
            route="/v1/chat/completions",
            status=200,
            prompt=prompt,
            answer=answer,
        )
        sink = open_sink(self.project.config.store.traces)
        sink.add(trace)
        sink.close()
        return self.receipt(number, bundle=bundle)

    def receipt(self, number: int, *, bundle: str = "") -> str:
        """The receipt of an answer, sealed by the project."""
        return Receipt(trace=f"{number:032x}", bundle=bundle or self.bundle).sealed(self.project.secret)


def write_library(root: Path) -> None:
    """A part of the standard library, copied."""
    for name in PACKAGES:
        source = Path(sysconfig.get_path("stdlib"), name)
        shutil.copytree(source, root / "library" / name, ignore=shutil.ignore_patterns("__pycache__", "test*"))


def make_model(project: Project, weights: bytes) -> Artifact:
    """A model of a few bytes."""
    return write_artifact(project.blobs, ArtifactKind.MODEL, {}, {"model.safetensors": weights, "config.json": b"{}"})


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """From the source files to a registered version; the stages run as a pipeline runs them."""
    root = tmp_path_factory.mktemp("headers")
    write_library(root)
    (root / "kedge.toml").write_text(CONFIG)
    project = open_project(root, principal="user:ada")
    outputs = runs.run(project).outputs
    dataset, index = outputs["data"]["dataset"], outputs["index"]["index"]
    model = make_model(project, b"weights")
    bundle = write_bundle(project.blobs, Bundle(model=model.digest))
    made = Line(project, dataset, index, model.digest, bundle.digest)
    made.record("train", {"dataset": dataset}, {"model": model})
    made.record("bundle", {"model": model.digest}, {"bundle": bundle})
    made.record("evaluate", {"bundle": bundle.digest, "dataset": dataset}, {})
    project.ledger.models.register(
        ModelVersion(
            name="headers",
            version=0,
            bundle=bundle.digest,
            model=model.digest,
            registered=project.clock.now(),
            by="user:ada",
        )
    )
    yield made
    project.close()
