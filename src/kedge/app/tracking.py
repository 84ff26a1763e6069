"""Runs of the user's own code: `with kedge.start_run("probe") as run: run.log_metric("loss", 0.3)`.

Values are durable within a second, and all of them when the run finishes, when the program ends normally, by an exception
or by Ctrl-C, and after `flush()`. A value may be NaN or infinite, as a loss that has become NaN is news: it is kept,
matches no filter and is ordered last. Threads share the run, and so do forked children, which leave finishing it to the
process that started it.
"""

from __future__ import annotations

import atexit
import multiprocessing.util
import operator
import os
import platform
import re
import secrets
import sys
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from numbers import Real
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kedge.app.metric_writer import MetricWriter
from kedge.app.project import Project, find_root, open_project
from kedge.core.address import parse_name
from kedge.core.errors import Conflict, Invalid
from kedge.core.hashing import digest_of
from kedge.core.run import Point, Run, RunStatus
from kedge.core.spec import Spec, to_plain
from kedge.pipeline.processes import this_process

__all__ = ["TrackedRun", "current_run", "flush", "log_metric", "log_metrics", "log_params", "start_run"]

MAX_NAME: Final = 250
_STEPS: Final = range(-(2**63), 2**63)


class TrackedRun:
    """A run that user code fills. Leaving its `with` block finishes it, by how the block was left."""

    def __init__(self, run: Run, project: Project, writer: MetricWriter, outer: TrackedRun | None = None) -> None:
        self.id = run.id
        self.name = run.stage
        self.outer = outer  # the current run when this one was started, which comes back when it ends
        self._project = project
        self._now = project.clock.now
        self._writer = writer
        self._steps: dict[str, int] = {}
        self._owner = os.getpid()
        self._ended = False

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """Record a value; without a step, at the one after this metric's last. Returns at once. `Invalid`; `Conflict`
        if the run has ended."""
        if self._ended:
            raise Conflict(f"run {self.id} has ended", address=self.id, hint="start another: kedge.start_run()")
        if type(value) is not float:
            value = _to_number(name, value)
        last = self._steps.get(name)
        if last is None:
            _check_name(name)
            last = -1
        if step is None:
            step = last + 1
        elif type(step) is not int or step not in _STEPS:
            step = _to_step(name, step)
        self._steps[name] = step
        self._writer.add(Point(run=self.id, name=name, step=step, value=value, at=self._now().timestamp()))

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record several values at one step."""
        for name, value in values.items():
            self.log_metric(name, value, step)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Add parameters. `Conflict` if one is there with another value, or if the run has ended."""
        self._project.ledger.runs.add_params(self.id, to_plain(params))

    def flush(self) -> None:
        """Return when every value is durable."""
        self._writer.flush()

    def finish(self, status: RunStatus = RunStatus.SUCCEEDED, error: str = "") -> None:
        """Make every value durable and end the run; ending it again does nothing."""
        self._writer.flush()
        if not self._ended and self._owner == os.getpid():
            self._ended = True
            _process.leave(self)
            self._project.ledger.runs.finish(self.id, status, ended=self._project.clock.now(), error=error)

    @property
    def ended(self) -> bool:
        """Whether this process has finished the run."""
        return self._ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(*_outcome(error))


class _Process:
    """What this process tracks: its writers, one a project, and the runs that are open, newest last."""

    def __init__(self) -> None:
        self.chosen: ContextVar[TrackedRun | None] = ContextVar("kedge_run", default=None)
        self._lock = threading.RLock()
        self._projects: dict[Path, Project] = {}
        self._writers: dict[int, tuple[Project, MetricWriter]] = {}
        self._open: list[TrackedRun] = []
        atexit.register(self.end)
        os.register_at_fork(after_in_child=self._forget)
        # A forked worker of multiprocessing ends without `atexit`, but with this:
        multiprocessing.util.register_after_fork(self, _Process._finish_with_multiprocessing)

    def start(self, name: str, params: Mapping[str, Any], project: Project | None) -> TrackedRun:
        with self._lock:
            project = project or self._project()
            _, writer = self._writers.setdefault(id(project), (project, MetricWriter(project.ledger.metrics)))
            run = _make_run(name, params, project)
            project.ledger.runs.start(run)
            tracked = TrackedRun(run, project, writer, self.chosen.get())
            self._open.append(tracked)
        self.chosen.set(tracked)
        return tracked

    def current(self) -> TrackedRun | None:
        """The run this context started, or else the newest that is open: a thread logs into its program's run."""
        chosen = self.chosen.get()
        if chosen is not None and not chosen.ended:
            return chosen
        with self._lock:
            return self._open[-1] if self._open else None

    def ensure(self) -> TrackedRun:
        with self._lock:
            return self.current() or self.start("", {}, None)

    def leave(self, run: TrackedRun) -> None:
        with self._lock:
            if run in self._open:
                self._open.remove(run)
        if self.chosen.get() is run:
            self.chosen.set(run.outer)

    def flush(self) -> None:
        for _, writer in list(self._writers.values()):
            writer.flush()

    def end(self) -> None:
        """Finish what is open, newest first, and lose nothing."""
        error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
        for run in reversed(self._open.copy()):
            run.finish(*_outcome(error))
        for _, writer in list(self._writers.values()):
            writer.close()

    def _project(self) -> Project:
        root = find_root(Path())
        if root not in self._projects:
            self._projects[root] = open_project(root)
        return self._projects[root]

    def _forget(self) -> None:
        self._lock = threading.RLock()
        for _, writer in self._writers.values():
            writer.forget()

    def _finish_with_multiprocessing(self) -> None:
        multiprocessing.util.Finalize(None, self.end, exitpriority=0)


_process = _Process()


def start_run(name: str = "", *, params: Mapping[str, Any] | None = None, project: Project | None = None) -> TrackedRun:
    """Start a run in the project (default: the one of the current folder) and make it the current one.

    `name` is what its stage is called in `kedge runs` (default: the program's file). Use it in a `with` block, or
    `finish()` it; one that is left open is finished when the program ends. `NotFound` outside a project; `Invalid`.
    """
    return _process.start(name, params or {}, project)


def current_run() -> TrackedRun | None:
    """The run that `log_metric` logs into now; None if there is none yet."""
    return _process.current()


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Record a value of the current run; a run is started if there is none."""
    (_process.current() or _process.ensure()).log_metric(name, value, step)


def log_metrics(values: Mapping[str, float], step: int | None = None) -> None:
    """Record several values of the current run at one step; a run is started if there is none."""
    _process.ensure().log_metrics(values, step)


def log_params(params: Mapping[str, Any]) -> None:
    """Add parameters to the current run; a run is started if there is none."""
    _process.ensure().log_params(params)


def flush() -> None:
    """Return when every value logged so far, to any run of this process, is durable."""
    _process.flush()


def _make_run(name: str, params: Mapping[str, Any], project: Project) -> Run:
    unique = secrets.token_hex(8)
    return Run(
        id=unique,
        stage=parse_name(name, "name of a run") if name else _program(),
        spec=Spec(name="script", args=to_plain(params)),
        key=digest_of({"run": unique}),  # unlike a step's: nothing says that running the code again would do the same
        status=RunStatus.RUNNING,
        started=project.clock.now(),
        environment={"python": platform.python_version()},
        worker=this_process(),
    )


def _program() -> str:
    name = Path(sys.argv[0]).stem if sys.argv else ""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("._-")[:64] or "script"


def _outcome(error: BaseException | None) -> tuple[RunStatus, str]:
    """How a run ends whose code was left by this exception."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return RunStatus.SUCCEEDED, ""
    if isinstance(error, KeyboardInterrupt):
        return RunStatus.INTERRUPTED, "stopped by the user"
    return RunStatus.FAILED, f"{type(error).__name__}: {error}"[:2000]


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        hint = f"1 to {MAX_NAME} printable characters, as in 'eval/loss'"
        raise Invalid(f"not a name for a metric: {name!r:.80}", hint=hint)


def _to_number(name: str, value: Any) -> float:
    """A number as a float: of Python, or one alone in an array or tensor."""
    if not isinstance(value, Real) and hasattr(value, "item"):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):  # more than one number
            value = None
    if isinstance(value, bool) or not isinstance(value, Real):
        hint = "a metric is one number; log a flag as int(flag), and text with log_params"
        raise Invalid(f"the value of metric {name!r} is not a number", hint=hint)
    try:
        return float(value)
    except OverflowError as error:
        raise Invalid(f"the value of metric {name!r} is too large", hint="it must fit a 64-bit float") from error


def _to_step(name: str, step: Any) -> int:
    try:
        number = operator.index(step)
    except TypeError:
        number = None
    if number is None or isinstance(step, bool) or number not in _STEPS:
        raise Invalid(f"the step of metric {name!r} is not a 64-bit integer: {step!r:.80}")
    return number
