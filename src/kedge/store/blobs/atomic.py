"""Files that appear wholly or not at all, also after a power cut."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from kedge.core.errors import Invalid, NotFound, Unavailable

CHUNK = 1 << 20
STALE = 24 * 3600.0


@contextmanager
def temporary(folder: Path) -> Iterator[FileIO]:
    """A new file in `folder`, removed at the end unless it was renamed by then."""
    path = folder / secrets.token_hex(16)
    file = path.open("xb", buffering=0)
    try:
        yield file
    finally:
        file.close()
        path.unlink(missing_ok=True)


def settle(file: FileIO, target: Path, *, read_only: bool = False) -> None:
    """Bring a temporary file's bytes to the disk, then give it the name `target`, then make the name durable."""
    if read_only:
        os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o444)
    os.fsync(file.fileno())
    Path(str(file.name)).replace(target)
    sync_folder(target.parent)


def replace_file(target: Path, data: bytes, *, scratch: Path) -> None:
    """Put `data` in place of what `target` holds; a reader sees the old bytes or the new."""
    with temporary(scratch) as file:
        write_all(file, data)
        settle(file, target)


def write_all(file: FileIO, data: bytes | memoryview) -> bytes | memoryview:
    """Write every byte, which an unbuffered file may take in several goes; gives `data` back to be hashed."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    return data


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_chunks(path: Path) -> Iterator[memoryview]:
    """The bytes of a regular file, a MiB at a time. `NotFound`; `Invalid` for a device, a pipe or a folder."""
    buffer = memoryview(bytearray(CHUNK))
    with open_regular(path) as file:
        while count := file.readinto(buffer):
            yield buffer[:count]


def open_regular(path: Path) -> FileIO:
    """Open a regular file to read. `NotFound`; `Invalid`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe nobody writes to must not hold us up
    except FileNotFoundError as error:
        raise NotFound(f"no such file: {path}", address=str(path)) from error
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}", address=str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid(f"not a regular file: {path}", address=str(path), hint="only regular files are stored")
    return FileIO(descriptor, "rb")


def hash_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """The digest of bytes that come in pieces."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


def remove_stale(folder: Path) -> None:
    """Remove temporary files that a killed process left behind a day ago or earlier."""
    horizon = time.time() - STALE
    for path in folder.iterdir():
        try:
            if path.lstat().st_mtime < horizon:
                path.unlink()
        except FileNotFoundError:  # another process was first
            continue


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn the operating system's refusal to write into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"cannot write {what}: {error.strerror or error}",
            address=what,
            hint="is there space, and may you write there?",
        ) from error
