"""The process that does one step: `python -m kedge.pipeline.worker EVENTS_FD`, with the job as one line on stdin.

It writes blobs and nothing else; what belongs on record it reports as events, and its parent records it. It dies
with its parent: the system kills it, and where the system cannot, it sees its stdin end.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from kedge.core.errors import KedgeError, Missing
from kedge.core.step import StepContext, StepResult
from kedge.pipeline.events import (
    Advanced,
    Errored,
    Event,
    Measured,
    Noted,
    Started,
    from_result,
    write_event,
)
from kedge.pipeline.types import Job

EVERY = 0.1  # seconds between two reports of progress
FLUSH = 0.5  # seconds a metric may wait
BATCH = 1000  # metrics that are sent without waiting
_PR_SET_PDEATHSIG = 1


class Reporter:
    """The Progress and the MetricLog of a step: sends what it is told to the parent, gathered a little."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sending = threading.Lock()
        self._gathering = threading.Lock()
        self._points: list[tuple[str, int, float | None, float]] = []
        self._facts: dict[str, Any] = {}
        self._units = 0
        self._told = 0.0

    def send(self, event: Event) -> None:
        """Send an event after all that was gathered before it."""
        with self._sending:
            for waiting in self._gathered():
                write_event(self._stream, waiting)
            write_event(self._stream, event)

    def flush(self) -> None:
        """Send what was gathered."""
        with self._sending:
            for waiting in self._gathered():
                write_event(self._stream, waiting)

    def start(self, total: int | None, label: str) -> None:
        """Begin a task."""
        self.send(Started(total, label))

    def advance(self, n: int = 1) -> None:
        """`n` units more are done."""
        with self._gathering:
            self._units += n
        self._flush_after(EVERY)

    def note(self, **facts: Any) -> None:
        """Facts beside the bar."""
        with self._gathering:
            self._facts |= facts
        self._flush_after(EVERY)

    def log(self, name: str, value: float, step: int = 0) -> None:
        """Record one value."""
        number = float(value)
        with self._gathering:
            self._points.append((name, int(step), None if math.isnan(number) else number, time.time()))
            full = len(self._points) >= BATCH
        self._flush_after(0.0 if full else FLUSH)

    def _flush_after(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._told >= seconds:
            self._told = now
            self.flush()

    def _gathered(self) -> Iterator[Event]:
        with self._gathering:
            points, self._points = self._points, []
            facts, self._facts = self._facts, {}
            units, self._units = self._units, 0
        if points:
            yield Measured(points)
        if facts:
            yield Noted(facts)
        if units:
            yield Advanced(units)


def work(job: Job, reporter: Reporter) -> StepResult:
    """Do the job in this process."""
    if job.setup:
        _load(job.setup)(run=job.run)
    blobs = _load(job.opener)(job.url, cache=job.cache)
    options = msgspec.convert(job.options, _load(job.kind))
    context = StepContext(
        stage=job.stage,
        run=job.run,
        inputs=job.inputs,
        blobs=blobs,
        root=job.root,
        workdir=job.workdir,
        progress=reporter,
        metrics=reporter,
        facts=job.facts,
    )
    do = _load(job.work)
    gc.freeze()  # what is imported stays: the collector need not look through it again and again
    result: StepResult = do(context, options)
    return result


def main() -> int:
    """Read the job, do it, report."""
    _die_with_parent(os.getppid())
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait starve a busy machine
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")  # sums come out the same however many threads share them
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_watch_parent, name="watch-parent", daemon=True).start()
    with os.fdopen(int(sys.argv[1]), "wb") as stream:
        reporter = Reporter(stream)
        threading.Thread(target=_keep_flushing, args=(reporter,), name="flush", daemon=True).start()
        job = read_job(line)
        sys.path[:] = job.path
        os.chdir(job.root)
        try:
            result = work(job, reporter)
            reporter.send(from_result(result))
        except ModuleNotFoundError as error:
            reporter.send(_errored(Missing.behind(error) or error))
            return 1
        except Exception as error:
            reporter.send(_errored(error))
            return 1
    return 0


def write_job(job: Job) -> bytes:
    """A job as one line."""
    return msgspec.json.encode(job, enc_hook=str) + b"\n"


def read_job(line: bytes) -> Job:
    """A job from its line."""
    return msgspec.json.decode(line, type=Job, dec_hook=lambda kind, raw: kind(raw))


def _load(name: str) -> Any:
    """The thing that `module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _errored(error: Exception) -> Errored:
    ours = isinstance(error, KedgeError)
    return Errored(
        kind=type(error).__name__,
        message=error.message if isinstance(error, KedgeError) else str(error),
        hint=error.hint if isinstance(error, KedgeError) else "",
        expected=ours,
        traceback="".join(traceback.format_exception(error.with_traceback(_step_frames(error)))),
    )


def _step_frames(error: Exception) -> TracebackType | None:
    """The traceback from the step's own first frame on: ours above it tell nobody anything."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames


def _keep_flushing(reporter: Reporter) -> None:
    """Metrics of a step that has gone quiet still arrive."""
    while True:
        time.sleep(FLUSH)
        with contextlib.suppress(ValueError, OSError):  # the stream is closed: the step is done
            reporter.flush()


def _watch_parent() -> None:
    """The parent holds the other end of stdin for as long as it lives."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _die_with_parent(parent: int) -> None:
    """Ask the system to kill us when the parent dies, and check that it has not done so already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
