"""Runs the stages of a pipeline in order, skips what is known, and puts every run on record."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedge.core.errors import Broken, KedgeError
from kedge.core.ports import Clock, Progress
from kedge.core.run import Point, Run, RunStatus
from kedge.core.step import StepResult
from kedge.pipeline.plan import Planner, resolve
from kedge.pipeline.processes import this_process
from kedge.pipeline.types import (
    Action,
    Circumstances,
    Executor,
    Job,
    Node,
    PipelineResult,
    PlannedStep,
    Records,
    StageOutcome,
    StageState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where and with what a pipeline runs. `facts` tells what the application knows of a stage's inputs.

    `before` is called once before the first stage that runs; `noted` hears each stage's circumstances before it runs.
    """

    root: Path
    work: Path
    opener: str
    url: str
    cache: Path
    setup: str
    executor: Callable[[], Executor]
    before: Callable[[], None]
    facts: Callable[[Mapping[str, str]], Mapping[str, Any]]
    noted: Callable[[Circumstances], None]
    clock: Clock


def execute(
    nodes: Sequence[Node], planner: Planner, records: Records, site: Site, progress: Progress
) -> PipelineResult:
    """Run what has to run. `Failed` at the first stage that fails; what was done before it stays on record."""
    pipeline = secrets.token_hex(8)
    began = time.monotonic()
    outputs: dict[str, Mapping[str, str]] = {}
    outcomes: list[StageOutcome] = []
    for node in nodes:
        planned, around = planner.decide(node, resolve(node, outputs))
        if planned.action is Action.SKIP:
            outcome = _skip(planned, progress)
        else:
            if all(outcome.state is StageState.SKIPPED for outcome in outcomes):
                site.before()
            attempt = _Attempt(
                node=node,
                planned=planned,
                around=around,
                records=records,
                site=site,
                progress=progress,
                pipeline=pipeline,
            )
            outcome = attempt.make()
        outputs[node.name] = outcome.outputs
        outcomes.append(outcome)
    return PipelineResult(pipeline=pipeline, stages=tuple(outcomes), seconds=time.monotonic() - began)


def _skip(planned: PlannedStep, progress: Progress) -> StageOutcome:
    assert planned.known is not None
    progress.note(stage=planned.stage, state=str(StageState.SKIPPED))
    return StageOutcome(
        stage=planned.stage,
        step=planned.step,
        state=StageState.SKIPPED,
        reason=planned.reason,
        run=planned.known.id,
        outputs=planned.known.outputs,
        metrics=planned.known.metrics,
    )


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One run of one stage. It is the listener of its worker."""

    node: Node
    planned: PlannedStep
    around: Circumstances
    records: Records
    site: Site
    progress: Progress
    pipeline: str
    last: dict[str, int] = field(default_factory=dict)

    def make(self) -> StageOutcome:
        """Do the step, on record from its start to its end."""
        stage = self.node.stage
        began = time.monotonic()
        self.progress.note(stage=stage.name, state="running", why=self.planned.reason)
        self.site.noted(self.around)
        run = self._begin()
        job = self._job(run)
        try:
            result = self.site.executor().execute(job, self)
            self._check(result)
        except KeyboardInterrupt:
            self.records.fail(run, RunStatus.INTERRUPTED, "stopped by the user")
            raise
        except KedgeError as error:
            self.records.fail(run, RunStatus.FAILED, error.message)
            self.progress.note(stage=stage.name, state="failed", seconds=time.monotonic() - began)
            raise
        self.records.finish(run, result, self._points(run, result))
        shutil.rmtree(job.workdir, ignore_errors=True)
        seconds = time.monotonic() - began
        self.progress.note(stage=stage.name, state=str(StageState.SUCCEEDED), seconds=seconds)
        return StageOutcome(
            stage=stage.name,
            step=stage.step.name,
            state=StageState.SUCCEEDED,
            reason=self.planned.reason,
            run=run.id,
            outputs={port: artifact.digest for port, artifact in result.outputs.items()},
            metrics=result.metrics,
            seconds=seconds,
        )

    def started(self, total: int | None, label: str) -> None:
        """A task of the step begins."""
        self.progress.start(total, label)

    def advanced(self, n: int) -> None:
        """Units of the task are done."""
        self.progress.advance(n)

    def noted(self, facts: Mapping[str, Any]) -> None:
        """Facts worth seeing."""
        self.progress.note(**{name: value for name, value in facts.items() if name not in ("stage", "state")})

    def measured(self, points: Sequence[Point]) -> None:
        """Put metric values on record."""
        for point in points:
            self.last[point.name] = max(point.step, self.last.get(point.name, 0))
        self.records.measure(points)

    def _begin(self) -> Run:
        stage = self.node.stage
        run = Run(
            id=secrets.token_hex(8),
            stage=stage.name,
            spec=stage.spec,
            key=self.planned.key,
            status=RunStatus.RUNNING,
            started=self.site.clock.now(),
            code=self.around.code,
            environment=self.around.environment,
            inputs=self.planned.inputs,
            pipeline=self.pipeline,
            worker=this_process(),
        )
        self.records.start(run)
        return run

    def _job(self, run: Run) -> Job:
        stage = self.node.stage
        kind = stage.step.options
        return Job(
            stage=stage.name,
            run=run.id,
            work=stage.step.work,
            kind=f"{kind.__module__}:{kind.__qualname__}",
            options=stage.spec.args,
            inputs={port: self.records.artifact(digest) for port, digest in self.planned.inputs.items()},
            root=self.site.root,
            workdir=self.site.work / self.planned.key.removeprefix("sha256:"),
            opener=self.site.opener,
            url=self.site.url,
            cache=self.site.cache,
            path=tuple(sys.path),
            setup=self.site.setup,
            facts=self.site.facts(self.planned.inputs),
        )

    def _check(self, result: StepResult) -> None:
        """A step makes exactly what it declares."""
        stage = self.node.stage
        made = {port: artifact.kind for port, artifact in result.outputs.items()}
        if made != dict(stage.step.outputs):
            raise Broken(
                f"step {stage.step.name!r} made {_ports(made)} and declares {_ports(stage.step.outputs)}",
                address=stage.name,
                hint="this is a bug of the step",
            )

    def _points(self, run: Run, result: StepResult) -> list[Point]:
        """The metrics of the result: each the last of its curve."""
        at = self.site.clock.now().timestamp()
        return [
            Point(run=run.id, name=name, step=self.last.get(name, 0), value=value, at=at)
            for name, value in result.metrics.items()
        ]


def _ports(kinds: Mapping[str, object]) -> str:
    return ", ".join(f"{port} ({kind})" for port, kind in sorted(kinds.items())) or "nothing"
