"""Tar archives, read in one pass or, if they are large, in parts: nothing of them is written where its name says."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterator
from typing import Any, cast

from kedge.core.dataset import Reject, Row
from kedge.data.readers.detect import HEAD, detect
from kedge.data.readers.unpack import BROKEN, KINDS, REASONS, Bomb, Members, apart, budget_of, plain
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_file, open_source
from kedge.data.types import Medium, SourceFile, Span


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject | Medium]:
    """What is in each member, in the order of the archive."""
    with open_source(file) as stream:
        members = Members(file, options, budget_of(file, options, stream.seek(0, os.SEEK_END)))
        begin, end = file.pieces or (0, sys.maxsize)
        stream.seek(begin)
        try:
            with tarfile.open(fileobj=cast("Any", stream), mode="r:" if file.pieces else "r|") as archive:
                yield from read_members(archive, members, end)
        except Bomb as error:
            yield quarantine(f"{file.label}:1", "bomb", str(error))
        except (*BROKEN, tarfile.TarError) as error:
            yield quarantine(f"{file.label}:1", "archive", f"it cannot be unpacked further: {error}")


def cut(file: SourceFile, options: FilesOptions, size: int) -> list[Span]:
    """Spans of members of about `size` bytes.

    None where members are not read each for itself: where limits may be passed, names are there twice, headers say
    something of all members behind them, or archives lie in the archive, whose content counts too.
    """
    with open_file(file.path) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        packed = stream.tell()
        stream.seek(0)
        try:
            with tarfile.open(fileobj=cast("Any", stream), mode="r:") as archive:
                listed = archive.getmembers()
                sizes = {member.name: member.size for member in listed}
                if len(sizes) < len(listed) or archive.pax_headers or not apart(sizes, options, packed):
                    return []
                if any(_is_archive(archive, each) for each in listed):
                    return []
        except (*BROKEN, tarfile.TarError):
            return []
    begins = [member.offset for member in listed]
    spans: list[Span] = []
    begin = 0
    for end in (*begins[1:], packed):
        if end - begin >= size or end == packed:
            spans.append(Span(begin=begin, end=end, digest=digest, pieces=(begin, end)))
            begin = end
    return spans


def _is_archive(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    content = archive.extractfile(member) if member.isreg() else None
    return content is not None and detect(content.read(HEAD), member.name) in KINDS


def read_members(archive: tarfile.TarFile, members: Members, end: int = sys.maxsize) -> Iterator[Row | Reject | Medium]:
    """What is in each regular file that begins before `end`; links and devices are rejects."""
    for member in archive:
        if member.offset >= end:
            return
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
