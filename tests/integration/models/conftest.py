"""A project on a real ledger and real blobs, with models that were evaluated and judged without training any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from kedge.app.effects import apply_effect
from kedge.app.project import Project, open_project
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.evaluation import Evaluation, Finding, Interval, MetricResult, Outcome, Verdict
from kedge.core.ledger import RunQuery
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.core.step import Judge, Register
from kedge.registry.bundle import write_bundle
from kedge.testing.clock import FixedClock

TOML = """
[project]
name = "letters"

[stages.gate]
step = "gate"
inputs = { evaluation = "evaluate", dataset = "data", bundle = "bundle" }
rules = [{ metric = "exact_match", at_least = 0.55 }]

[stages.register]
step = "register"
model = "letters"
"""

OUTCOMES = {0.2: Outcome.FAIL, 0.55: Outcome.UNDECIDED, 0.7: Outcome.PASS}


class Yard:
    """Makes judged versions in a project, one call each."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def set_gate(self) -> None:
        step = self.project.steps.get("gate")
        assert step.gate is not None
        gate = step.gate(self.project.config.options("gate", step.options), "gate")
        self.project.ledger.verdicts.set_gate(gate, at=self.project.clock.now())

    def make_bundle(self, name: str) -> tuple[Artifact, Artifact]:
        blobs = self.project.blobs
        files = {"config.json": b"{}", "model.safetensors": name.encode()}
        model = write_artifact(blobs, ArtifactKind.MODEL, {"name": name}, files)
        bundle = write_bundle(blobs, Bundle(model=model.digest, prompt="{input}\n"))
        with self.project.ledger.begin() as tx:
            for artifact in (model, bundle):
                tx.artifacts.add(artifact, at=self.project.clock.now())
        return model, bundle

    def make_version(self, name: str, value: float = 0.7, *, judged: bool = True) -> ModelVersion:
        model, bundle = self.make_bundle(name)
        if judged:
            self.judge(bundle.digest, value)
        effect = Register(model="letters", bundle=bundle.digest, weights=model.digest, card="")
        run = self.record("register", {"bundle": bundle.digest}, {})
        with self.project.ledger.begin() as tx:
            apply_effect(self.project, tx, effect, run)
        return next(v for v in self.project.ledger.models.versions("letters") if v.bundle == bundle.digest)

    def judge(self, bundle: str, value: float) -> Verdict:
        blobs, now = self.project.blobs, self.project.clock.now()
        interval = Interval(value=value, low=value - 0.03, high=value + 0.03)
        result = MetricResult(metric="exact_match", interval=interval, n=1000)
        evaluation = Evaluation(bundle=bundle, dataset="sha256:" + "d" * 64, cases=1000, results=(result,))
        report = write_artifact(blobs, ArtifactKind.REPORT, msgspec.to_builtins(evaluation), {})
        self.project.ledger.artifacts.add(report, at=now)
        self.record("evaluate", {"bundle": bundle}, {"evaluation": report.digest})
        step = self.project.steps.get("gate")
        assert step.gate is not None
        gate = step.gate(self.project.config.options("gate", step.options), "gate")
        finding = Finding(
            rule=gate.rules[0],
            outcome=OUTCOMES[value],
            interval=interval,
            reference=0.55,
            text=f"exact_match {value} [{interval.low:.3f}, {interval.high:.3f}] against 0.55",
        )
        verdict = Verdict(
            gate=gate.digest,
            bundle=bundle,
            evaluation=report.digest,
            dataset=evaluation.dataset,
            outcome=OUTCOMES[value],
            findings=(finding,),
        )
        run = self.record("gate", {"bundle": bundle, "evaluation": report.digest}, {})
        with self.project.ledger.begin() as tx:
            apply_effect(self.project, tx, Judge(verdict=verdict), run)
        return verdict

    def record(self, step: str, inputs: dict[str, str], outputs: dict[str, str]) -> Run:
        now = self.project.clock.now()
        name = f"{step}-{len(self.project.ledger.runs.search(RunQuery(limit=1000)))}"
        run = Run(
            id=name, stage=step, spec=Spec(name=step), key=name, status=RunStatus.RUNNING, started=now, inputs=inputs
        )
        self.project.ledger.runs.start(run)
        self.project.ledger.runs.finish(name, RunStatus.SUCCEEDED, ended=now, outputs=outputs)
        return self.project.ledger.runs.get(name)


@pytest.fixture
def open_yard(tmp_path: Path) -> Iterator[Callable[[], Project]]:
    """Opens the project again, as another process would."""
    (tmp_path / "kedge.toml").write_text(TOML)
    opened: list[Project] = []

    def open_again() -> Project:
        clock = FixedClock(datetime(2026, 3, 3, 10, tzinfo=UTC), tick=1.0)
        opened.append(open_project(tmp_path, clock=clock, principal="user:ada"))
        return opened[-1]

    yield open_again
    for project in opened:
        project.close()


@pytest.fixture
def yard(open_yard: Callable[[], Project]) -> Yard:
    """A project whose gate is set."""
    made = Yard(open_yard())
    made.set_gate()
    return made


@pytest.fixture
def make_yard() -> type[Yard]:
    """A yard in any project, with its gate not yet set."""
    return Yard
