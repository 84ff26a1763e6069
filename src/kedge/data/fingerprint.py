"""The digest of files outside the graph, quickly: a file is read again only if its size, time or place has changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from kedge.core.hashing import digest_of
from kedge.data.remembered import recall, remember
from kedge.data.sources.files import open_file, printable
from kedge.data.types import SourceFile

_Entry = tuple[list[int], str]  # size, time and inode; digest of the content

SETTLED = 2.0  # seconds: a file written this recently might change again without its time changing


def fingerprint(files: Sequence[SourceFile], cache: Path) -> str:
    """The digest over the names and contents of files. `cache` remembers contents; losing it costs only time."""
    known: dict[str, _Entry] = recall(cache, _Entry)
    fresh: dict[str, _Entry] = {}
    contents: list[tuple[str, str]] = []
    changed = False
    horizon = time.time_ns() - int(SETTLED * 1e9)
    for file in files:
        state = _state(os.fspath(file.path))
        path = printable(os.fspath(file.path))
        entry = known.get(path)
        if entry is not None and entry[0] == state:
            content = entry[1]
        else:
            content = _digest(file.path)
            changed = True
        if state is not None and state[1] < horizon:
            fresh[path] = (state, content)
        contents.append((file.label, content))
    if changed or fresh.keys() != known.keys():
        remember(cache, fresh)
    return digest_of(sorted(contents))


def _state(path: str) -> list[int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of thousands of files would cost as much as the call
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _digest(path: Path) -> str:
    """The digest of a file's bytes, or why they cannot be read: that is part of what the source yields."""
    try:
        with open_file(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror or error}"
