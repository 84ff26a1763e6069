"""What a pipeline is made of, what is planned for it, and how each stage came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from kedge.core.artifact import Artifact
from kedge.core.run import Point, Run, RunStatus
from kedge.core.spec import Spec
from kedge.core.step import Step, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an input comes from: an output port of a stage."""

    stage: str
    port: str

    def __str__(self) -> str:
        return f"{self.stage}.{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of the project file with its step and its checked options. `given` are the inputs it names itself."""

    name: str
    step: Step
    options: Any
    spec: Spec
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A stage with its inputs connected. `sources` maps a port (without `?`) to where it comes from."""

    stage: Stage
    sources: Mapping[str, Source]

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What decides a stage's outcome beside its options and inputs. `modules` maps a module to its source's digest."""

    code: str
    modules: Mapping[str, str]
    environment: Mapping[str, str]


class Action(StrEnum):
    """What is planned for a stage. `wait`: it depends on what comes out of a stage before it."""

    RUN = "run"
    SKIP = "skip"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """What will happen to a stage, and why in words. `known` is the run whose outputs are used when it is skipped."""

    stage: str
    step: str
    action: Action
    reason: str
    key: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    known: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every stage in the order in which it runs."""

    steps: tuple[PlannedStep, ...]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return all(step.action is Action.SKIP for step in self.steps)


class StageState(StrEnum):
    """How a stage came out."""

    SKIPPED = "skipped"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """What happened to one stage. `run` is the run that made its outputs, now or earlier."""

    stage: str
    step: str
    state: StageState
    reason: str
    run: str
    outputs: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineResult:
    """What a pipeline did."""

    pipeline: str
    stages: tuple[StageOutcome, ...]
    seconds: float

    @property
    def idle(self) -> bool:
        """Whether everything was up to date."""
        return all(outcome.state is StageState.SKIPPED for outcome in self.stages)

    @property
    def outputs(self) -> Mapping[str, Mapping[str, str]]:
        """The artifact of each stage by stage and port."""
        return {outcome.stage: outcome.outputs for outcome in self.stages}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything a worker needs to do one step.

    `options` are the plain values of the step's options type, named as `module:type` by `kind`.
    `setup` names a function called first with the run's id, the one that configures logging.
    `opener` names the function that opens the blob store from `url` and `cache`. `path` is where modules are found.
    """

    stage: str
    run: str
    work: str
    kind: str
    options: Mapping[str, Any]
    inputs: Mapping[str, Artifact]
    root: Path
    workdir: Path
    opener: str
    url: str
    cache: Path
    path: tuple[str, ...] = ()
    setup: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Listener(Protocol):
    """Hears what a worker reports while it runs."""

    def started(self, total: int | None, label: str) -> None:
        """A task of the step begins."""
        ...

    def advanced(self, n: int) -> None:
        """Units of the task are done."""
        ...

    def noted(self, facts: Mapping[str, Any]) -> None:
        """Facts worth seeing."""
        ...

    def measured(self, points: Sequence[Point]) -> None:
        """A batch of metric values; it is on record when this returns."""
        ...


class Executor(Protocol):
    """Runs one job somewhere else than in this process."""

    def execute(self, job: Job, listener: Listener) -> StepResult:
        """Do the job. `Failed` says how it ended otherwise; on KeyboardInterrupt the worker is stopped first."""
        ...


class Records(Protocol):
    """What the pipeline reads from and writes to the record of runs. The application implements it on the ledger."""

    def known(self, key: str) -> Run | None:
        """The newest succeeded run with this key whose outputs are all still there."""
        ...

    def newest(self, stage: str) -> Run | None:
        """The newest run of a stage, whatever became of it; else None."""
        ...

    def newest_good(self, stage: str) -> Run | None:
        """The newest succeeded run of a stage; else None."""
        ...

    def artifact(self, digest: str) -> Artifact:
        """An artifact on record."""
        ...

    def start(self, run: Run) -> None:
        """Record that a run begins."""
        ...

    def measure(self, points: Sequence[Point]) -> None:
        """Record metric values."""
        ...

    def finish(self, run: Run, result: StepResult, points: Sequence[Point]) -> None:
        """Record success: artifacts, last metrics, effects and the run's end, all or nothing."""
        ...

    def fail(self, run: Run, status: RunStatus, error: str) -> None:
        """Record how it failed."""
        ...


Look = Callable[[Stage], Circumstances]
Modules = Callable[[str], Mapping[str, str]]  # of a code digest; empty when it is not remembered
