"""Unpacks what was packed, counting: a small file may not become an endless one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa

from kedge.core.dataset import Reject, Row
from kedge.data.readers.any_file import read_as
from kedge.data.readers.detect import HEAD, detect
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.types import Medium, SourceFile

SPOOL = 32 << 20  # bytes of a member that are held in memory; the rest is on disk while it is read
BROKEN: Final = (
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
)
REASONS: Final = {
    "unsafe-name": "its name leads out of the archive",
    "duplicate-name": "a member of the same name came before it",
    "too-many": "there are more members than the limit; the rest is not read",
    "not-a-file": "a link or a device, not a file",
    "encrypted": "it is encrypted",
}
KINDS: Final = frozenset({"zip", "tar", "gz", "bz2", "xz", "zst"})


class Bomb(Exception):
    """More came out than a limit allows."""


@dataclass(slots=True)
class Budget:
    """How much may still come out of one archive, its inner archives included."""

    options: FilesOptions
    packed: int
    out: int = 0

    def spend(self, count: int) -> None:
        """Count bytes that came out. `Bomb`."""
        self.out += count
        if self.out > self.options.max_unpacked_bytes:
            raise Bomb(f"it unpacks to over {self.options.max_unpacked_bytes} bytes")
        if self.out > max(self.options.max_free_bytes, self.packed * self.options.max_ratio):
            raise Bomb(f"{self.packed} bytes unpack to over {self.out}: more than {self.options.max_ratio} times")


class Counted(io.RawIOBase):
    """A stream whose bytes are counted as they come out."""

    def __init__(self, stream: Any, budget: Budget) -> None:
        self._stream, self._budget = stream, budget

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there is something."""
        data = self._stream.read(len(buffer))
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)


def decompress(stream: BinaryIO, kind: str) -> Any:
    """The bytes that a compressed stream holds."""
    if kind == "gz":
        return gzip.GzipFile(fileobj=stream)
    if kind == "bz2":
        return bz2.BZ2File(stream)
    if kind == "xz":
        return lzma.LZMAFile(stream)
    return pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")


@dataclass(slots=True)
class Members:
    """Reads the members of one archive, and remembers what was there."""

    file: SourceFile
    options: FilesOptions
    budget: Budget
    seen: set[str] = field(default_factory=set)

    def fault(self, name: str) -> str:
        """Why a member of this name is not read; "" if it may be."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            return "unsafe-name"
        if name in self.seen:
            return "duplicate-name"
        self.seen.add(name)
        return "too-many" if len(self.seen) > self.options.max_members else ""

    def read(self, name: str, stream: Any) -> Iterator[Row | Reject | Medium]:
        """What is in one member. Damage and bombs are rejects; `Bomb` goes on to whoever reads the archive."""
        label = plain(f"{self.file.label}!/{name}")
        try:
            with _spooled(Counted(stream, self.budget)) as spool:
                yield from read_stream(spool, label, self.file, self.options, self.budget)
        except Bomb as error:
            yield quarantine(f"{label}:1", "bomb", str(error))
            raise
        except BROKEN as error:
            yield quarantine(f"{label}:1", "archive", f"it cannot be unpacked: {error}")


def read_stream(
    stream: Any, label: str, file: SourceFile, options: FilesOptions, budget: Budget
) -> Iterator[Row | Reject | Medium]:
    """What is in bytes that came out of an archive."""
    start = stream.read(HEAD)
    stream.seek(0)
    kind = detect(start, label)
    nesting = label.count("!/") + 1
    if kind in KINDS and nesting > options.max_nesting:
        yield quarantine(
            f"{label}:1", "nesting", f"an archive {nesting} archives deep; the limit is {options.max_nesting}"
        )
        return
    inner = SourceFile(path=file.path, label=label, stream=stream, budget=budget)
    yield from read_as(kind, inner, options, empty=not start)


@contextmanager
def _spooled(stream: Counted) -> Iterator[BinaryIO]:
    """The whole of a stream, to be read from anywhere in it."""
    with tempfile.SpooledTemporaryFile(SPOOL) as spool:
        shutil.copyfileobj(cast("BinaryIO", stream), spool, 1 << 18)
        spool.seek(0)
        if not spool._rolled:  # type: ignore[attr-defined]  # in memory: only what it wraps does all that a file does
            yield cast("BinaryIO", spool._file)
        else:
            yield cast("BinaryIO", spool)


def budget_of(file: SourceFile, options: FilesOptions, packed: int) -> Budget:
    """The budget of the outermost archive that a file came out of, or a new one."""
    return file.budget if isinstance(file.budget, Budget) else Budget(options, packed)


def apart(sizes: Mapping[str, int], options: FilesOptions, packed: int) -> bool:
    """Whether no member of these names and sizes can make another one be passed over, whatever they hold."""
    room = min(options.max_unpacked_bytes, max(options.max_free_bytes, packed * options.max_ratio))
    return len(sizes) <= options.max_members and sum(sizes.values()) <= room


def plain(name: str) -> str:
    """A name as text that can be written anywhere."""
    return "".join(c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else f"\\x{ord(c):02x}" for c in name)[:1000]
