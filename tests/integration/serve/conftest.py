"""Projects with something to serve, and `kedge serve` as a process beside the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kedge.app import keys, models
from kedge.app.project import Project, open_project
from kedge.core.access import Scope
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle, Sampling
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.core.spec import Spec
from kedge.registry.bundle import write_bundle

FILE = """
[project]
name = "words"

[endpoints.words]
model = "words"
port = 0
"""


@dataclass(slots=True, kw_only=True)
class Line:
    """A project and the ways to put something into force in it."""

    project: Project
    secret: str = field(repr=False)

    def register(self, files: Mapping[str, Path | bytes], bundle: Bundle) -> ModelVersion:
        """A bundle of these files as the next version of `words`."""
        project = self.project
        model = write_artifact(project.blobs, ArtifactKind.MODEL, {}, files)
        whole = Bundle(
            model=model.digest,
            prompt=bundle.prompt,
            chat_template=bundle.chat_template,
            sampling=bundle.sampling,
            engine=bundle.engine,
        )
        return self.record(write_bundle(project.blobs, whole), model)

    def record(self, bundle: Artifact, *parts: Artifact) -> ModelVersion:
        """A stored bundle and what it is made of, as the next version of `words`."""
        for each in (*parts, bundle):
            self.project.ledger.artifacts.add(each, at=self.project.clock.now())
        return models.register(self.project, "words", bundle.digest)

    def echo(self, name: str, **flags: object) -> ModelVersion:
        """An engine without a model that says its name first."""
        engine = Spec(name="echo", args={"prefix": f"{name} ", **flags})
        return self.register({"name.txt": name.encode()}, Bundle(model="", engine=engine))

    def trained(self, folder: Path, **flags: object) -> ModelVersion:
        """A real model."""
        files = {path.name: path for path in folder.iterdir()}
        engine = Spec(name="transformers", args={"threads": 1, **flags})
        bundle = Bundle(model="", prompt="{input}", sampling=Sampling(max_tokens=60), engine=engine)
        return self.register(files, bundle)

    def promote(self, version: ModelVersion) -> None:
        """Put it in force."""
        models.promote(self.project, version.address, override="a test")


@dataclass(slots=True, kw_only=True)
class Served:
    """A running `kedge serve`."""

    process: subprocess.Popen[str]
    url: str
    said: list[dict[str, Any]]
    log: Path

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def engines(self) -> list[int]:
        """The pids of its engine processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children]


@contextmanager
def fresh_line(folder: Path, more: str = "") -> Iterator[Line]:
    """A project with one key that opens everything; `more` is added to its file."""
    (folder / "kedge.toml").write_text(FILE + more)
    project = open_project(folder)
    created = keys.create(project, "test", scopes=[Scope.ADMIN])
    yield Line(project=project, secret=created.secret)
    project.close()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A fresh project."""
    folder = tmp_path / "project"
    folder.mkdir()
    with fresh_line(folder) as made:
        yield made


@pytest.fixture(scope="session")
def make_line() -> Callable[..., Any]:
    """Makes projects: a context manager over (folder, more of the file)."""
    return fresh_line


@contextmanager
def serving(project: Project, *more: str, **environment: str) -> Iterator[Served]:
    """`kedge serve` until the end of the block; killed if it does not end by itself."""
    log = project.root / "serve.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "kedge", "-v", "-C", str(project.root), "serve", "--json", *more],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **environment},
        )
    assert process.stdout is not None
    try:
        said: list[dict[str, Any]] = []
        for text in process.stdout:
            said.append(json.loads(text))
            if said[-1].get("event") == "ready":
                yield Served(process=process, url=said[-1]["url"], said=said, log=log)
                break
        else:
            raise AssertionError(f"it did not come up: {said} {log.read_text()}")
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def tiny_adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of three models that are adapters of the tiny one, each with another way to go on."""
    from kedge.testing.models import write_tiny_adapter

    folder = tmp_path_factory.mktemp("adapters")
    sayings = ("one two buckle my shoe", "one two is a pair of three", "one two café")
    for number, says in enumerate(sayings):
        write_tiny_adapter(tiny_model, folder / str(number), says=says)
    return [folder / str(number) for number in range(len(sayings))]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has learnt a few sentences by heart."""
    from kedge.testing.models import write_tiny_model

    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """Starts `kedge serve`: a context manager over (project, more arguments)."""
    return serving
