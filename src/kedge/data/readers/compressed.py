"""Single compressed files: gzip, bzip2, xz and zstd. What is inside is read by what it is; lines as they come out."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from kedge.core.dataset import Reject, Row
from kedge.data.readers.any_file import read_as
from kedge.data.readers.detect import HEAD, detect
from kedge.data.readers.tar_archive import read_members
from kedge.data.readers.unpack import BROKEN, Bomb, Budget, Counted, Members, budget_of, decompress
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import head, open_source
from kedge.data.types import Medium, SourceFile

_STREAMED = frozenset({"jsonl", "csv", "text"})
_TAR = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject | Medium]:
    """What is inside, under the name without its end. What came out before the damage stays."""
    with open_source(file) as stream:
        packed = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        kind = detect(head(stream, HEAD), file.label)
        budget = budget_of(file, options, packed)
        name = _inner_name(file.label)
        try:
            inside = io.BufferedReader(Counted(decompress(stream, kind), budget), 1 << 18)
            yield from _inside(inside, name, file, options, budget)
        except Bomb as error:
            yield quarantine(f"{file.label}:1", "bomb", str(error))
        except BROKEN as error:
            yield quarantine(f"{file.label}:1", "archive", f"it cannot be unpacked further: {error}")


def _inside(
    inside: Any, name: str, file: SourceFile, options: FilesOptions, budget: Budget
) -> Iterator[Row | Reject | Medium]:
    start = inside.peek(HEAD)
    kind = detect(start[:HEAD], name)
    members = Members(file, options, Budget(options, budget.packed))  # what comes out here is counted a second time
    if kind == "tar":
        with tarfile.open(fileobj=inside, mode="r|") as archive:
            yield from read_members(archive, members)
    elif kind in _STREAMED:
        inner = SourceFile(
            path=file.path, label=f"{file.label}!/{name}", stream=cast("BinaryIO", inside), budget=budget
        )
        yield from read_as(kind, inner, options, empty=not start)
    else:
        yield from members.read(name, inside)


def _inner_name(label: str) -> str:
    path = PurePosixPath(label.rpartition("!/")[2])
    return path.stem + _TAR.get(path.suffix.lower(), "")
