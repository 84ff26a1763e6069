"""Cuts what there is to read into parts: small files whole, large ones where each part can be read for itself.

Each part is named by its bytes; read in whatever order and process, the parts give what the whole file gives.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from kedge.core.errors import Conflict
from kedge.data.remembered import recall, remember
from kedge.data.sources.files import open_file, printable
from kedge.data.types import BoundSource, SourceFile, Span

LINES = "lines"
PART = 8 << 20  # bytes of a large file that are read at once
SETTLED = 2.0  # seconds: a file written this recently might change again without its time changing


@dataclass(frozen=True, slots=True)
class Part:
    """What one reading takes: a file or a span of one, with its source's place among the sources."""

    source: int
    file: SourceFile
    span: Span
    whole: bool
    state: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        return self.span.end - self.span.begin


class Spans(msgspec.Struct, array_like=True, frozen=True):
    """What was found of a file when it was in this state: size, time and inode."""

    state: list[int]
    spans: list[Span]


def cut(sources: Sequence[BoundSource], root: Path, cache: Path) -> list[Part]:
    """Every part in the order of sources, names and places. `cache` remembers digests; losing it costs only time."""
    known: dict[str, Spans] = recall(cache, Spans)
    fresh: dict[str, Spans] = {}
    parts: list[Part] = []
    horizon = time.time_ns() - int(SETTLED * 1e9)
    for at, bound in enumerate(sources):
        cutter = _cutter(bound)
        for file in bound.find(root):
            how = cutter(file.label)
            key = f"{printable(os.fspath(file.path))}\0{how}"
            state = state_of(file.path)
            entry = known.get(key)
            if entry is None or entry.state != state:
                entry = Spans(state, list(_spans(file, how, bound.options)))
            if state and state[1] < horizon:
                fresh[key] = entry
            spans = entry.spans
            parts += [Part(at, file, span, len(spans) == 1, tuple(state)) for span in spans]
    if fresh != known:
        remember(cache, fresh)
    return parts


def fill(part: Part) -> SourceFile:
    """The file of a part as it is read: with its bytes, if it is but a part. `Conflict` if they have changed; `OSError`."""
    if part.whole:
        return part.file
    span = part.span
    if span.pieces is not None:
        if tuple(state_of(part.file.path)) != part.state:
            raise changed(part.file.path)
        return replace(part.file, pieces=span.pieces)
    with open_file(part.file.path) as stream:
        stream.seek(span.begin)
        data = stream.read(part.size)
    if hashlib.sha256(data).hexdigest() != span.digest:
        raise changed(part.file.path)
    return replace(part.file, data=data, line=span.line, offset=span.begin, head=span.head)


def changed(path: Path) -> Conflict:
    """The error for a file that is not what it was a moment ago."""
    return Conflict(f"{path} changed while it was read", hint="run again when it is at rest")


def state_of(path: Path) -> list[int]:
    """What changes when a file does; nothing if there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of thousands of files would cost as much as the call
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _cutter(bound: BoundSource) -> Callable[[str], str]:
    """How the files of a source are cut, by their names: at lines, by a function, or not at all ("")."""
    cuts = {**dict.fromkeys(bound.source.lines, LINES), **bound.source.cuts}
    ends = tuple(cuts)
    return lambda label: next(cuts[end] for end in ends if label.endswith(end)) if label.endswith(ends) else ""


def _spans(file: SourceFile, how: str, options: Any) -> Iterator[Span]:
    try:
        with open_file(file.path) as stream:
            large = bool(how) and os.fstat(stream.fileno()).st_size > 2 * PART
            if large and how == LINES and _is_lines(stream.peek(8)):
                yield from _lines(stream.fileno())
                return
            if large and how != LINES:
                module, _, function = how.partition(":")
                spans = list(getattr(importlib.import_module(module), function)(file, options, PART))
                if len(spans) > 1:
                    yield from spans
                    return
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            yield Span(begin=0, end=stream.tell(), digest=digest)
    except OSError as error:
        yield Span(begin=0, end=0, digest=f"unreadable: {error.strerror or error}")


def _is_lines(start: bytes) -> bool:
    """Whether it can be JSON Lines at all, whatever its name says."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"")


def _lines(descriptor: int) -> Iterator[Span]:
    """Spans of about `PART` bytes that end with a line; one line may make a span longer."""
    begin = line = 0
    held: list[bytes] = []
    at = 0
    while chunk := os.pread(descriptor, PART, at):
        at += len(chunk)
        end = chunk.rfind(b"\n") + 1
        if not end:
            held.append(chunk)
            continue
        data = b"".join((*held, chunk[:end]))
        yield Span(begin=begin, end=begin + len(data), line=line, digest=hashlib.sha256(data).hexdigest())
        begin, line, held = begin + len(data), line + data.count(b"\n"), [chunk[end:]]
    rest = b"".join(held)
    if rest:
        yield Span(begin=begin, end=begin + len(rest), line=line, digest=hashlib.sha256(rest).hexdigest())
