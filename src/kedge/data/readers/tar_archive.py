"""Tar archives, read in one pass: nothing of them is written where its name says."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Any, cast

from kedge.core.dataset import Reject, Row
from kedge.data.readers.unpack import BROKEN, REASONS, Bomb, Members, budget_of, plain
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_source
from kedge.data.types import Medium, SourceFile


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject | Medium]:
    """What is in each member, in the order of the archive."""
    with open_source(file) as stream:
        packed = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        try:
            with tarfile.open(fileobj=cast("Any", stream), mode="r|") as archive:
                yield from read_members(archive, Members(file, options, budget_of(file, options, packed)))
        except Bomb as error:
            yield quarantine(f"{file.label}:1", "bomb", str(error))
        except (*BROKEN, tarfile.TarError) as error:
            yield quarantine(f"{file.label}:1", "archive", f"it cannot be unpacked further: {error}")


def read_members(archive: tarfile.TarFile, members: Members) -> Iterator[Row | Reject | Medium]:
    """What is in each regular file; links and devices are rejects."""
    for member in archive:
        label = plain(f"{members.file.label}!/{member.name}")
        if member.isdir():
            continue
        fault = members.fault(member.name)
        if fault or not member.isreg():
            reason = fault or "not-a-file"
            yield quarantine(f"{label}:1", reason, REASONS[reason])
            if reason == "too-many":
                return
            continue
        content = archive.extractfile(member)
        assert content is not None, "regular members have content"
        yield from members.read(member.name, content)
