"""Zip archives: members are read from where they lie; nothing of them is written where its name says."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from typing import IO, cast

from kedge.core.dataset import Reject, Row
from kedge.data.readers.detect import HEAD, detect
from kedge.data.readers.pieces import pieces
from kedge.data.readers.unpack import BROKEN, KINDS, REASONS, Bomb, Members, apart, budget_of, plain
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_file, open_source
from kedge.data.types import Medium, SourceFile, Span


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject | Medium]:
    """What is in each member, in the order of the archive."""
    with open_source(file) as stream:
        packed = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        members = Members(file, options, budget_of(file, options, packed))
        try:
            with zipfile.ZipFile(cast("IO[bytes]", stream)) as archive:
                first, last = file.pieces or (0, len(archive.infolist()))
                yield from _members(archive, archive.infolist()[first:last], members)
        except Bomb as error:
            yield quarantine(f"{file.label}:1", "bomb", str(error))
        except (*BROKEN, NotImplementedError) as error:
            yield quarantine(f"{file.label}:1", "archive", f"it cannot be unpacked: {error}")


def cut(file: SourceFile, options: FilesOptions, size: int) -> list[Span]:
    """Spans of members that unpack to about `size` bytes.

    None where members are not read each for itself: where limits may be passed, names are there twice, or archives lie
    in the archive, whose content counts too.
    """
    with open_file(file.path) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        packed = stream.tell()
        stream.seek(0)
        try:
            with zipfile.ZipFile(stream) as archive:
                listed = archive.infolist()
                sizes = {member.filename: member.file_size for member in listed}
                if len(sizes) < len(listed) or not apart(sizes, options, packed):
                    return []
                if any(_is_archive(archive, each) for each in listed):
                    return []
        except (*BROKEN, NotImplementedError):
            return []
    return pieces([member.file_size for member in listed], digest, size)


def _is_archive(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.is_dir() or _fault(member):
        return False
    with archive.open(member) as content:
        return detect(content.read(HEAD), member.filename) in KINDS


def _members(
    archive: zipfile.ZipFile, listed: list[zipfile.ZipInfo], members: Members
) -> Iterator[Row | Reject | Medium]:
    for member in listed:
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
