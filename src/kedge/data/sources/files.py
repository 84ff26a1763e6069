"""Finds the files of a source, and opens nothing but regular files."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from kedge.core.errors import Invalid, NotFound
from kedge.data.sources.remote import bring, is_remote
from kedge.data.types import SourceFile

PASSED_OVER = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


def find_files(paths: str | Sequence[str], root: Path, suffixes: tuple[str, ...]) -> list[SourceFile]:
    """The files that paths and patterns name, and those with one of `suffixes` in the folders they name. `NotFound`.

    URLs of object stores, datasets of the hub and SQL queries are brought here first (see `remote`).
    A file goes by the path as it was given; one given by an absolute path, by its place in the folder given.
    Hidden folders and those of installed packages are passed over.
    """
    found: dict[str, str] = {}
    for given in [paths] if isinstance(paths, str) else paths:
        if not given:
            raise Invalid("a source needs a path", hint='as in source = { name = "jsonl", path = "data/rows.jsonl" }')
        if is_remote(given):
            found.update((str(file.path), file.label) for file in bring(given, root) if file.label.endswith(suffixes))
            continue
        for path, label in _named(given, root):
            if path.is_dir():
                here, name = os.path.join(path, ""), f"{label}/" if label.parts else ""  # noqa: PTH118 - see `walk`
                found.update((here + inner, name + inner) for inner in walk(path, suffixes))
            else:
                found[str(path)] = str(label) if label.parts else path.name
    return [SourceFile(path=Path(path), label=printable(label)) for path, label in found.items()]


def printable(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 are written as `\\xff`."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _named(given: str, root: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Each path that `given` means, with the name it goes by ("" for an absolute one)."""
    expanded = Path(given).expanduser()
    inside = not expanded.is_absolute() and ".." not in expanded.parts
    path = root / expanded
    if any(mark in given for mark in "*?[") and not path.exists():
        if not inside:
            raise Invalid(f"a pattern must lie inside the project: {given}")
        matches = sorted(root.glob(given))
        if not matches:
            raise NotFound(f"nothing matches {given}", address=given, hint=f"looked in {root}")
        yield from ((match, PurePosixPath(match.relative_to(root))) for match in matches)
        return
    if not path.exists() and not path.is_symlink():
        raise NotFound(f"no such file or folder: {given}", address=given, hint=f"looked in {root}")
    yield path, PurePosixPath(expanded) if inside else PurePosixPath()


def walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Files below a folder by the end of their names, as paths from it; links to folders are not followed."""
    begin = len(os.path.join(folder, ""))  # noqa: PTH118 - a Path for each of thousands of files would cost as much as reading it
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(suffixes):
                yield f"{here}/{name}"[begin:]


def open_source(file: SourceFile) -> BinaryIO:
    """The bytes of a file to read, from memory or an archive if they come from there. `OSError`."""
    if file.stream is not None:
        stream: BinaryIO = file.stream
        return stream
    return io.BytesIO(file.data) if file.data is not None else open_file(file.path)


def head(stream: BinaryIO, count: int) -> bytes:
    """The first bytes of a stream that is at its beginning, and stays there."""
    if isinstance(stream, BufferedReader):
        return stream.peek(count)[:count]
    start = stream.read(count)
    stream.seek(0)
    return start


def open_file(path: Path) -> BufferedReader:
    """A regular file to read; `OSError` for anything else, without waiting for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"not a regular file: {path.name}")
    return BufferedReader(FileIO(descriptor, "rb"), buffer_size=1 << 20)
