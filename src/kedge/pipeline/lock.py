"""One pipeline at a time in a project: a file lock that the system lets go when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from kedge.core.errors import Conflict


@contextmanager
def hold(path: Path, *, now: datetime) -> Iterator[None]:
    """Hold the lock. `Conflict` at once if somebody else does, saying who and since when."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(path) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": now.isoformat(timespec="seconds")}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _held(path: Path) -> Conflict:
    try:
        holder = json.loads(path.read_text())
        who = f"process {holder['pid']} since {holder['since']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return Conflict(
        f"the pipeline is running already: {who}", address=str(path), hint="wait for it, or stop it with Ctrl-C"
    )
