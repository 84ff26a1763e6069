"""Which process is which: its host, its id and when it started, so that a recycled id is not taken for it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from kedge.core.run import Worker

_SLACK = 2.0  # seconds: the system's idea of its boot time moves a little when clocks are set


def this_process() -> Worker:
    """The process we are."""
    return Worker(host=socket.gethostname(), pid=os.getpid(), started=_started(os.getpid()) or time.time())


def is_alive(worker: Worker) -> bool:
    """Whether the process still runs. Of another host we cannot tell, and say yes."""
    if worker.host != socket.gethostname():
        return True
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists and is somebody else's
    started = _started(worker.pid)
    return started is None or abs(started - worker.started) <= _SLACK


def _started(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except (OSError, StopIteration):
        return None
    ticks = int(stat.rpartition(")")[2].split()[19])
    return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
