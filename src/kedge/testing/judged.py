"""A project on real stores whose versions are evaluated and judged without training any: for tests of what comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kedge.app.aliases import referred
from kedge.app.effects import apply_effect
from kedge.app.project import Project
from kedge.app.work.gate import work
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.evaluation import CaseResult, Evaluation, MetricResult
from kedge.core.ledger import RunQuery
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.core.ports import Silent
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.core.step import Judge, Register, StepContext
from kedge.evaluate.report import write_evaluation
from kedge.evaluate.types import MODEL, Report
from kedge.registry.bundle import write_bundle
from kedge.statistics.differences import is_binary
from kedge.statistics.intervals import mean_interval, wilson

METRIC = "exact_match"


class Unlogged:
    """Takes metrics and keeps none."""

    def log(self, name: str, value: float, step: int = 0) -> None:
        """Ignored."""


@dataclass(slots=True, kw_only=True)
class Yard:
    """Makes judged versions of one model in a project with a stage `gate`, one call each. `dataset` is what is evaluated
    on now; `folder` is any empty one."""

    project: Project
    folder: Path
    model: str = "sums"
    dataset: str = ""

    def make_dataset(self, name: str) -> str:
        """Another version of the evaluation set, made by the stage `data`."""
        artifact = write_artifact(self.project.blobs, ArtifactKind.DATASET, {"name": name}, {"rows": name.encode()})
        self._record("data", {}, {"dataset": artifact})
        self.dataset = artifact.digest
        return self.dataset

    def set_gate(self) -> None:
        """Store the gate's rules, as `kedge run` does before anything runs."""
        step = self.project.steps.get("gate")
        assert step.gate is not None
        gate = step.gate(self.project.config.options("gate", step.options), "gate")
        self.project.ledger.verdicts.set_gate(gate, at=self.project.clock.now())

    def make_bundle(self, name: str) -> tuple[Artifact, Artifact]:
        """A model and a bundle of it."""
        blobs = self.project.blobs
        files = {"config.json": b"{}", "model.safetensors": name.encode()}
        model = write_artifact(blobs, ArtifactKind.MODEL, {"name": name}, files)
        bundle = write_bundle(blobs, Bundle(model=model.digest, prompt="{input}\n"))
        self._record("bundle", {}, {"model": model, "bundle": bundle})
        return model, bundle

    def evaluate(self, bundle: str, scores: Mapping[str, float]) -> str:
        """An evaluation of a bundle on the dataset, by the score of each case."""
        if not self.dataset:
            self.make_dataset("first")
        values = list(scores.values())
        interval = wilson(sum(values), len(values)) if is_binary(values) else mean_interval(np.array(values))
        evaluation = Evaluation(
            bundle=bundle,
            dataset=self.dataset,
            cases=len(values),
            results=(MetricResult(metric=METRIC, interval=interval, n=len(values)),),
            scorers=(METRIC,),
        )
        cases = tuple(
            CaseResult(row=row, answerer=MODEL, answer="", scores={METRIC: score}) for row, score in scores.items()
        )
        artifact = write_evaluation(self.project.blobs, Report(evaluation=evaluation, cases=cases))
        self._record("evaluate", {"bundle": bundle, "dataset": self.dataset}, {"evaluation": artifact})
        return artifact.digest

    def judge(self, bundle: str, evaluation: str) -> None:
        """Judge an evaluation by the gate, as the stage does."""
        step = self.project.steps.get("gate")
        assert step.refer is not None
        options = self.project.config.options("gate", step.options)
        options = step.refer(options, lambda address: referred(self.project.ledger, address))
        inputs = {"bundle": bundle, "dataset": self.dataset, "evaluation": evaluation}
        context = StepContext(
            stage="gate",
            run="gate",
            inputs={port: self.project.ledger.artifacts.get(digest) for port, digest in inputs.items()},
            blobs=self.project.blobs,
            root=self.project.root,
            workdir=self.folder,
            progress=Silent(),
            metrics=Unlogged(),
        )
        result = work(context, options)
        run = self._record("gate", inputs, dict(result.outputs))
        for effect in result.effects:
            assert isinstance(effect, Judge)
            with self.project.ledger.begin() as tx:
                apply_effect(self.project, tx, effect, run)

    def register(self, model: Artifact, bundle: Artifact, *, card: str = "") -> ModelVersion:
        """Register a bundle as the next version."""
        run = self._record("register", {"bundle": bundle.digest}, {})
        effect = Register(model=self.model, bundle=bundle.digest, weights=model.digest, card=card)
        with self.project.ledger.begin() as tx:
            apply_effect(self.project, tx, effect, run)
        return next(v for v in self.project.ledger.models.versions(self.model) if v.bundle == bundle.digest)

    def make_version(self, name: str, scores: Sequence[float], *, judged: bool = True) -> ModelVersion:
        """A version with a score on each of the cases `c0`, `c1` and so on, evaluated and judged."""
        model, bundle = self.make_bundle(name)
        evaluation = self.evaluate(bundle.digest, {f"c{i}": float(score) for i, score in enumerate(scores)})
        if judged:
            self.judge(bundle.digest, evaluation)
        return self.register(model, bundle)

    def _record(self, stage: str, inputs: Mapping[str, str], outputs: Mapping[str, Artifact]) -> Run:
        ledger, now = self.project.ledger, self.project.clock.now()
        name = f"{stage}-{len(ledger.runs.search(RunQuery(limit=10_000)))}"
        run = Run(
            id=name, stage=stage, spec=Spec(name=stage), key=name, status=RunStatus.RUNNING, started=now, inputs=inputs
        )
        with ledger.begin() as tx:
            for artifact in outputs.values():
                tx.artifacts.add(artifact, at=now)
            tx.runs.start(run)
            digests = {port: artifact.digest for port, artifact in outputs.items()}
            tx.runs.finish(name, RunStatus.SUCCEEDED, ended=now, outputs=digests)
        return ledger.runs.get(name)


def right(count: int, n: int, *, first: int = 0) -> list[float]:
    """Scores of n cases of which `count` are right, from the case `first` on."""
    return [1.0 if first <= i < first + count else 0.0 for i in range(n)]
