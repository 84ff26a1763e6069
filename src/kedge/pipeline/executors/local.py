"""One worker process a step, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kedge.core.errors import Failed
from kedge.core.run import Point
from kedge.core.step import StepResult
from kedge.pipeline.events import (
    Advanced,
    Errored,
    Event,
    Finished,
    Measured,
    Noted,
    Started,
    read_event,
    to_result,
    to_value,
)
from kedge.pipeline.types import Job, Listener
from kedge.pipeline.worker import write_job

PATIENCE = 5.0  # seconds a worker gets to stop by itself
TAIL = 12  # lines of its output that an error shows
_MEANING = {
    signal.SIGKILL: "the system kills a process this way when memory runs out",
    signal.SIGSEGV: "a compiled library crashed",
    signal.SIGBUS: "a compiled library crashed, or a disk is full",
    signal.SIGILL: "a compiled library was built for another processor",
    signal.SIGABRT: "a compiled library gave up",
}


class LocalExecutor:
    """Starts a worker for each job, in a process group of its own, and hears it out."""

    def execute(self, job: Job, listener: Listener) -> StepResult:
        """Do the job. `Failed` with the last lines of the worker's output; the whole of it stays in a file."""
        job.workdir.mkdir(parents=True, exist_ok=True)
        log = job.workdir.with_suffix(".log")
        with log.open("wb") as output, _worker(job, output) as (process, events):
            last = _listen(events, job, listener)
            code = _leave(process)
        if isinstance(last, Finished):
            log.unlink()
            return to_result(last)
        if isinstance(last, Errored):
            raise _raised(last, job, log)
        raise _died(code, job, log)


@contextmanager
def _worker(job: Job, output: BinaryIO) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """A worker that has its job; on the way out it and all that it started are gone."""
    read, write = os.pipe()
    command = [sys.executable, "-P", "-m", "kedge.pipeline.worker", str(write)]
    with os.fdopen(read, "rb") as events:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(write,),
                start_new_session=True,
            )
        finally:
            os.close(write)
        reaper = threading.Thread(target=_reap, args=(process,), name="reap-worker")
        reaper.start()
        try:
            _hand(process, job)
            yield process, events
        finally:
            if process.poll() is None:
                _stop(process)
            reaper.join()
            _close(process)


def _hand(process: subprocess.Popen[bytes], job: Job) -> None:
    """Give the worker its job and keep its stdin open: that it ends tells the worker that we are gone."""
    assert process.stdin is not None
    try:
        process.stdin.write(write_job(job))
        process.stdin.flush()
    except BrokenPipeError:
        return  # it died at once: its exit code and output say why


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        return


def _reap(process: subprocess.Popen[bytes]) -> None:
    """When the worker ends, end what it may have started too, so that nothing holds its pipe open."""
    process.wait()
    _kill_group(process.pid, signal.SIGKILL)


def _leave(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a worker that has nothing more to say; one that does not go is stopped."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _stop(process)
        return process.returncode


def _stop(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process.pid, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _kill_group(process.pid, signal.SIGKILL)
        process.wait()


def _kill_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # it is empty already


def _listen(events: BinaryIO, job: Job, listener: Listener) -> Event | None:
    """Pass on what the worker reports until it has finished, raised or gone."""
    while True:
        event = read_event(events)
        match event:
            case None | Finished() | Errored():
                return event
            case Started(total=total, label=label):
                listener.started(total, label)
            case Advanced(n=n):
                listener.advanced(n)
            case Noted(facts=facts):
                listener.noted(facts)
            case Measured(points=points):
                listener.measured(
                    [
                        Point(run=job.run, name=name, step=step, value=to_value(value), at=at)
                        for name, step, value, at in points
                    ]
                )


def _raised(event: Errored, job: Job, log: Path) -> Failed:
    with log.open("a") as output:
        output.write(event.traceback)
    if event.expected:
        return Failed(f"stage {job.stage!r} failed: {event.message}", address=job.run, hint=event.hint or f"see {log}")
    said = f"{event.kind}: {event.message}" if event.message else event.kind
    return Failed(f"stage {job.stage!r} failed: {said}", address=job.run, hint=f"{_tail(log)}\nall of it: {log}")


def _died(code: int, job: Job, log: Path) -> Failed:
    if code < 0:
        number = signal.Signals(-code)
        meaning = f" ({_MEANING[number]})" if number in _MEANING else ""
        how = f"its worker was ended by {number.name}{meaning}"
    else:
        how = f"its worker left with exit code {code} and no result"
    tail = _tail(log)
    hint = f"{tail}\nall of it: {log}" if tail else "run it again to go on from where it stopped"
    return Failed(f"stage {job.stage!r} failed: {how}", address=job.run, hint=hint)


def _tail(log: Path) -> str:
    """The last lines that the worker wrote."""
    with log.open(errors="replace") as lines:
        return "".join(deque(lines, TAIL)).rstrip()
