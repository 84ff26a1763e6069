"""Zip archives: members are read from where they lie; nothing of them is written where its name says."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from typing import IO, cast

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
        members = Members(file, options, budget_of(file, options, packed))
        try:
            with zipfile.ZipFile(cast("IO[bytes]", stream)) as archive:
                yield from _members(archive, members)
        except Bomb as error:
            yield quarantine(f"{file.label}:1", "bomb", str(error))
        except (*BROKEN, NotImplementedError) as error:
            yield quarantine(f"{file.label}:1", "archive", f"it cannot be unpacked: {error}")


def _members(archive: zipfile.ZipFile, members: Members) -> Iterator[Row | Reject | Medium]:
    for member in archive.infolist():
        if member.is_dir():
            continue
        reason = members.fault(member.filename) or _fault(member)
        if reason:
            yield quarantine(f"{plain(f'{members.file.label}!/{member.filename}')}:1", reason, REASONS[reason])
            if reason == "too-many":
                return
            continue
        try:
            content = archive.open(member)
        except (*BROKEN, NotImplementedError) as error:
            label = plain(f"{members.file.label}!/{member.filename}")
            yield quarantine(f"{label}:1", "archive", f"it cannot be unpacked: {error}")
            continue
        with content:
            yield from members.read(member.filename, content)


def _fault(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & 1:
        return "encrypted"
    mode = member.external_attr >> 16
    return "not-a-file" if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG) else ""
