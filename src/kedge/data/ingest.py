"""Reads the files of sources into rows and rejects, in several processes when there is enough to read."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from kedge.core.dataset import Reject, Row
from kedge.core.errors import Conflict, Failed
from kedge.core.ports import Progress
from kedge.data.rows import drop, quarantine
from kedge.data.types import BoundSource, Cleaned, SourceFile

Reader = Callable[[SourceFile, Any], Iterator[Row | Reject]]

PROCESSES = 4
WORTHWHILE = 4 << 20  # bytes below which starting processes costs more than it saves
BATCH = 16


@dataclass(frozen=True, slots=True)
class _Part:
    """A file to read, and how."""

    read: str
    options: Any
    file: SourceFile


def ingest(sources: Sequence[BoundSource], root: Path, progress: Progress) -> Cleaned:
    """Every row and reject of every file, in the order of sources, file names and places in the files.

    `Conflict` if a file changes while it is read.
    """
    parts = [_Part(each.source.read, each.options, file) for each in sources for file in each.find(root)]
    progress.start(len(parts), "reading files")
    rows: dict[str, Row] = {}
    rejects: list[Reject] = []
    for found in _results(parts):
        for item in found:
            if not isinstance(item, Row):
                rejects.append(item)
            elif rows.setdefault(item.id, item) is not item:
                rejects.append(drop(item, "duplicate:id", "the same content under the same name and line"))
        progress.advance()
    progress.note(rows=len(rows), quarantined=len(rejects))
    return Cleaned(rows=list(rows.values()), rejects=rejects)


def _results(parts: Sequence[_Part]) -> Iterator[list[Row | Reject]]:
    processes = min(PROCESSES, os.cpu_count() or 1, len(parts) // BATCH)
    if processes < 2 or sum(_size(part.file.path) for part in parts) < WORTHWHILE:
        yield from map(_read, parts)
        return
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_die_with_parent) as pool:
            yield from pool.map(_read, parts, chunksize=BATCH)
    except BrokenProcessPool as error:
        raise Failed("a process that reads files was killed", hint="is there enough memory?") from error


def _read(part: _Part) -> list[Row | Reject]:
    """All of one file."""
    before = _state(part.file.path)
    try:
        found = list(_reader(part.read)(part.file, part.options))
    except OSError as error:
        return [quarantine(part.file.label, "unreadable", error.strerror or str(error))]
    if _state(part.file.path) != before:
        raise Conflict(f"{part.file.path} changed while it was read", hint="run again when it is at rest")
    return found


def _reader(name: str) -> Reader:
    module, _, function = name.partition(":")
    reader: Reader = getattr(importlib.import_module(module), function)
    return reader


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _die_with_parent() -> None:
    """End this process when the one that started it is gone, killed or not: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
