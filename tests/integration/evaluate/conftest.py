"""A project with a model that has learnt a few sentences by heart, and cases that ask for their rest."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from kedge.app import models
from kedge.app.aliases import resolve
from kedge.app.project import Project, open_project
from kedge.cli.main import main
from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle, Sampling
from kedge.core.evaluation import Evaluation
from kedge.core.manifest import write_artifact
from kedge.core.ports import Silent
from kedge.core.spec import Spec
from kedge.core.step import StepContext
from kedge.evaluate.report import read_evaluation
from kedge.registry.bundle import write_bundle
from kedge.testing.models import SENTENCES, write_tiny_model
from kedge.testing.training import RecordedMetrics


@dataclass(slots=True, kw_only=True)
class Line:
    """A project, and the command line in it."""

    root: Path

    def open(self) -> Project:
        return open_project(self.root)

    def call(self, *words: str) -> tuple[int, Any]:
        """A command's exit code and the object that it printed."""
        with redirect_stdout(StringIO()) as out:
            code = main(["-C", str(self.root), *words, "--json"])
        return code, json.loads(out.getvalue().splitlines()[-1])

    def work(self, step: str, options: Any, inputs: dict[str, str], folder: Path, **facts: Any) -> Evaluation:
        """A step's work in this process, where what it needs is loaded already."""
        project = self.open()
        context = StepContext(
            stage=step,
            run="run",
            inputs={port: project.ledger.artifacts.get(digest) for port, digest in inputs.items()},
            blobs=project.blobs,
            root=self.root,
            workdir=folder,
            progress=Silent(),
            metrics=RecordedMetrics(),
            facts=facts,
        )
        result = importlib.import_module(f"kedge.app.work.{step}").work(context, options)
        found = read_evaluation(project.blobs, result.outputs["evaluation"].digest)
        project.close()
        return found

    def bundle(self, address: str) -> str:
        """A version's bundle."""
        project = self.open()
        found = resolve(project.ledger, address).bundle
        project.close()
        return found

    def good(self, *words: str) -> Any:
        """What a command printed, which went well."""
        code, said = self.call(*words)
        assert code == 0, said
        return said

    def register(self, files: dict[str, Path | bytes], bundle: Bundle) -> str:
        """A bundle of these files as the next version of `words`."""
        project = self.open()
        model = write_artifact(project.blobs, ArtifactKind.MODEL, {}, files)
        whole = Bundle(model=model.digest, prompt=bundle.prompt, sampling=bundle.sampling, engine=bundle.engine)
        artifact = write_bundle(project.blobs, whole)
        for each in (model, artifact):
            project.ledger.artifacts.add(each, at=project.clock.now())
        address = models.register(project, "words", artifact.digest).address
        project.close()
        return address

    def echo(self, prefix: str = "") -> str:
        """An engine without a model, which answers with the question."""
        engine = Spec(name="echo", args={"prefix": prefix})
        return self.register({"name.txt": prefix.encode()}, Bundle(model="", engine=engine))

    def trained(self, folder: Path) -> str:
        """The real model."""
        engine = Spec(name="transformers", args={"threads": 1})
        bundle = Bundle(model="", sampling=Sampling(max_tokens=24), engine=engine)
        return self.register({path.name: path for path in folder.iterdir()}, bundle)

    def data(self, rows: Sequence[dict[str, Any]], *more: str) -> None:
        """A dataset `cases` of these rows, half of them to test on."""
        file = self.root / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.good("data", "ingest", str(file), "--name", "cases", "--test", "0.5", *more)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A project for the tests of a module."""
    root = tmp_path_factory.mktemp("line")
    (root / "kedge.toml").write_text('[project]\nname = "words"\n\n[endpoints.words]\nmodel = "words"\nport = 0\n')
    return Line(root=root)


@pytest.fixture(scope="module")
def echo(line: Line) -> str:
    """A version that answers with the question, and cases where that is right but for every fourth."""
    rows = [
        {"input": f"word{i} again", "target": f"word{i} again" if i % 4 else "other", "kind": "ab"[i % 2]}
        for i in range(60)
    ]
    line.data(rows)
    return line.echo()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture
def rests() -> list[dict[str, Any]]:
    """Beginnings of the sentences with their rests."""
    rows = []
    for number, sentence in enumerate(SENTENCES):
        words = sentence.split()
        for cut in range(1, len(words)):
            rest = " " + " ".join(words[cut:])
            rows.append({"input": " ".join(words[:cut]), "target": rest, "sentence": f"s{number}", "label": number})
    return rows


@contextmanager
def serving(project: Project) -> Iterator[str]:
    """`kedge serve` for the time of a block; the URL that it serves."""
    command = [sys.executable, "-m", "kedge", "-C", str(project.root), "serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            for text in process.stdout:
                said = json.loads(text)
                if said.get("event") == "ready":
                    yield said["url"]
                    break
            else:
                raise AssertionError("it did not come up")
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def serve() -> Callable[[Project], Any]:
    return serving
