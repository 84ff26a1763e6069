"""JSON documents: an array of objects, one object, or an object that holds the array. Read an element at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from kedge.core.dataset import Reject, Row
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_source
from kedge.data.sources.jsonl import JsonlOptions, take_fields, wide_encoding
from kedge.data.sources.jsonl import read as read_lines
from kedge.data.strict import BOM, BadLine, parse_object
from kedge.data.types import SourceFile

CHUNK = 1 << 20
_LISTS = ("data", "rows", "examples", "instances", "records", "items", "train", "conversations")
_TOKEN = re.compile(rb'["\\\[\]{},]')
_INNER = re.compile(rb'["\\]')
_BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an array: where it begins, and its bytes, or None if there were too many."""

    offset: int
    data: bytes | None
    complete: bool = True


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject]:
    """A row an element, named by its number from 0. What is wrong with one does not touch the others."""
    with open_source(file) as stream:
        start = stream.read(4)
        stream.seek(0)
        wide = wide_encoding(start)
        if wide:
            yield quarantine(f"{file.label}:1", "encoding", f"the file is in {wide}: convert it to UTF-8")
            return
        skipped = len(BOM.encode()) if start.startswith(BOM.encode()) else 0
        stream.seek(skipped)
        first = _first(stream)
        stream.seek(skipped)
        if first == b"[":
            yield from _array(file, options, stream, skipped)
            return
        data = stream.read(options.max_document_bytes + 1)
    if len(data) > options.max_document_bytes:
        detail = f"one object of over {options.max_document_bytes} bytes: write it as JSON Lines"
        yield quarantine(f"{file.label}:1", "too-long", detail)
        return
    yield from _object(file, options, data)


def _object(file: SourceFile, options: FilesOptions, data: bytes) -> Iterator[Row | Reject]:
    try:
        value = parse_object(data)
    except BadLine as error:
        if b"\n{" in data.strip() and error.detail.startswith("Extra data"):
            lines = JsonlOptions(
                input=options.input, target=options.target, tags=options.tags, max_line_bytes=options.max_line_bytes
            )
            yield from read_lines(file, lines)
            return
        yield quarantine(f"{file.label}:1", error.reason, error.detail, data=data)
        return
    held = next((value[name] for name in _LISTS if _is_rows(value.get(name))), None)
    if held is None or (len(value) > 1 and _is_messages(value)):
        yield _row(file, 0, value, options)
        return
    for at, inner in enumerate(held):
        yield _row(file, at, inner, options)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _is_messages(value: Mapping[str, Any]) -> bool:
    return "conversations" in value and "from" in value["conversations"][0]


def _array(file: SourceFile, options: FilesOptions, stream: BinaryIO, begin: int) -> Iterator[Row | Reject]:
    for at, element in enumerate(split_elements(stream, options.max_line_bytes, begin)):
        source, where = f"{file.label}#{at}", f"byte {element.offset}"
        if element.data is None:
            detail = f"{where}: an element over {options.max_line_bytes} bytes"
            yield quarantine(source, "too-long", detail)
        elif not element.complete:
            yield quarantine(source, "json", f"{where}: the array does not end", data=element.data)
        else:
            try:
                yield _take(parse_object(element.data), source, options)
            except BadLine as error:
                yield quarantine(source, error.reason, f"{where}: {error.detail}", data=element.data)


def _row(file: SourceFile, at: int, value: Mapping[str, Any], options: FilesOptions) -> Row | Reject:
    source = f"{file.label}#{at}"
    try:
        return _take(value, source, options)
    except BadLine as error:
        return quarantine(source, error.reason, error.detail)


def _take(value: Mapping[str, Any], source: str, options: FilesOptions) -> Row:
    return take_fields(value, source, options.input, options.target, options.tags)


def _first(stream: BinaryIO) -> bytes:
    """The first byte that is not blank."""
    while chunk := stream.read(CHUNK):
        chunk = chunk.lstrip(_BLANK)
        if chunk:
            return chunk[:1]
    return b""


class _Splitter:
    """Where a scan through an array is: how deep, whether inside a text, and what of the element is held."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.depth = 0
        self.inside = self.escaped = self.long = False
        self.held = bytearray()
        self.begin = -1
        self.commas = 0

    def keep(self, data: bytes, offset: int) -> None:
        """Hold bytes of the element."""
        if self.begin < 0:
            stripped = data.lstrip(_BLANK)
            offset += len(data) - len(stripped)
            data = stripped
            if not data:
                return
            self.begin = offset
        if len(self.held) + len(data) > self.limit:
            self.long = True
        if not self.long:
            self.held += data

    def element(self, *, complete: bool = True) -> Element:
        """What was held, and begin anew."""
        data = None if self.long else bytes(self.held).rstrip(_BLANK)
        made = Element(max(self.begin, 0), data, complete)
        self.held.clear()
        self.begin, self.long = -1, False
        return made


def split_elements(stream: BinaryIO, limit: int, offset: int = 0) -> Iterator[Element]:
    """The elements of the array that a stream holds, never holding more than `limit` bytes of one."""
    state = _Splitter(limit)
    while chunk := stream.read(CHUNK):
        yield from _scan(state, chunk, offset)
        offset += len(chunk)
        if state.depth < 0:
            return
    if state.depth > 0 or state.inside:
        yield state.element(complete=False)


def _scan(state: _Splitter, chunk: bytes, offset: int) -> Iterator[Element]:
    """The elements that end in this chunk; what begins in it is held."""
    at, kept = int(state.escaped), 0
    state.escaped = False
    while (match := (_INNER if state.inside else _TOKEN).search(chunk, at)) is not None:
        mark, at = match.group(), match.end()
        if mark == b"\\":
            state.escaped = state.inside and at == len(chunk)
            at += state.inside
        elif mark == b'"':
            state.inside = not state.inside
        elif mark in b"[{":
            state.depth += 1
            kept = at if state.depth == 1 else kept
        elif mark in b"]}":
            state.depth -= 1
            if state.depth == 0:
                state.keep(chunk[kept : match.start()], offset + kept)
                yield from _ended(state, chunk[at:], offset + at)
                return
        elif state.depth == 1:
            state.keep(chunk[kept : match.start()], offset + kept)
            state.commas += 1
            yield state.element()
            kept = at
    if state.depth > 0:
        state.keep(chunk[kept:], offset + kept)


def _ended(state: _Splitter, rest: bytes, offset: int) -> Iterator[Element]:
    """The last element, and what should not come after the array."""
    if state.begin >= 0:
        yield state.element()
    elif state.commas:
        yield Element(offset - 1, b"]", complete=False)
    state.depth = -1
    if rest.strip(_BLANK):
        yield Element(offset, rest.strip(_BLANK)[:200], complete=False)
