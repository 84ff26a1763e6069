"""What a step of a pipeline is: declared light, run in a worker process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.evaluation import Gate, Verdict
from kedge.core.ports import BlobStore, MetricLog, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A kind of stage that `kedge.toml` can name.

    `options` is a frozen dataclass of plain values; the stage's table is read into it.
    `inputs` and `outputs` map a port to the kind of artifact on it; an input that ends in `?` may be absent.
    `work` names the function the worker process calls, as `module:function`:
    `(context: StepContext, options: <options>) -> StepResult`.
    `code` names the modules or packages whose source decides the result, `packages` the distributions whose versions do.
    `outside` (if any) gives the digest of what the step reads from outside the graph, such as the files of a folder.
    `gate` (if any) gives the gate that the options set, so that it is stored before anything runs.
    `refer` (if any) fills in what versions and aliases in the options are, each as the application looks it up: the
    version's address, its bundle, and its evaluations from the newest on; nothing for an alias that was never set.
    """

    name: str
    options: type[Any]
    work: str
    inputs: Mapping[str, ArtifactKind] = field(default_factory=dict)
    outputs: Mapping[str, ArtifactKind] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    outside: Callable[[Any, Path], str] | None = None
    gate: Callable[[Any, str], Gate] | None = None
    refer: Callable[[Any, Callable[[str], tuple[str, ...]]], Any] | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Effect: the application registers the bundle as the model's next version and points the alias at it."""

    model: str
    bundle: str
    weights: str
    card: str
    alias: str = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Effect: the application signs and records the verdict."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step's work is given.

    `root` is the project's folder; `workdir` is kept when the step is killed and handed to the next attempt with the
    same key, and removed when the step is done. Outputs are written to `blobs` as artifacts.
    `facts` carries what the application knows of the inputs (for a model card: the runs behind them).
    """

    stage: str
    run: str
    inputs: Mapping[str, Artifact]
    blobs: BlobStore
    root: Path
    workdir: Path
    progress: Progress
    metrics: MetricLog
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step made. The application records outputs, metrics and effects in one transaction with the run's end."""

    outputs: Mapping[str, Artifact]
    metrics: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Register | Judge, ...] = ()
