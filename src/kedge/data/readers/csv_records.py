"""CSV and TSV: a row a record under the names of the first one. Ragged and unclosed records are quarantined, not guessed."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader

from kedge.core.dataset import Reject, Row
from kedge.data.lines import Line, split_lines
from kedge.data.readers.detect import HEAD, detect
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import head, open_file, open_source
from kedge.data.sources.jsonl import FIELDS, take_fields, wide_encoding
from kedge.data.strict import BOM, BadLine, decode_line
from kedge.data.types import SourceFile, Span

MAX_RECORD_LINES = 1000  # a quoted field that goes on for longer was never closed
_DELIMITERS = ",;\t|"

csv.field_size_limit(1 << 30)  # lines are limited before they come here


@dataclass(frozen=True, slots=True)
class _Record:
    """A record: where it begins and its text, or why there is none."""

    line: int
    offset: int
    text: str
    fault: BadLine | None = None
    data: bytes | None = None


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject]:
    """A row a record, named by its first line; every value is a text, as it stands."""
    with open_source(file) as stream:
        wide = "" if file.offset else wide_encoding(head(stream, 4))
        if wide:
            yield quarantine(f"{file.label}:1", "encoding", f"the file is in {wide}: convert it to UTF-8")
            return
        lines = split_lines(stream, options.max_line_bytes)
        lines = (Line(each.number + file.line, each.offset + file.offset, each.size, each.data) for each in lines)
        records = _records(lines, options.max_line_bytes)
        delimiter = _delimiter(file.head, file.label)
        names = _names(_split(file.head, delimiter), options) if file.head else []
        for record in records:
            source = f"{file.label}:{record.line}"
            try:
                if record.fault is not None:
                    raise record.fault
                if not names:
                    delimiter = _delimiter(record.text, file.label)
                    names = _names(_split(record.text, delimiter), options)
                    continue
                values = _split(record.text, delimiter)
                if len(values) != len(names):
                    raise BadLine("ragged", f"{len(values)} fields under {len(names)} names")
                named = dict(zip(names, values, strict=True))
                asked = options.input or (names[0] if len(names) == 1 else "")
                yield take_fields(named, source, asked, options.target, options.tags)
            except BadLine as error:
                detail = f"byte {record.offset}: {error.detail}"
                yield quarantine(source, error.reason, detail, data=record.data or record.text.encode())
                if not names:
                    return


def cut(file: SourceFile, options: FilesOptions, size: int) -> list[Span]:
    """Spans of about `size` bytes that begin with a record. None if the first record names no fields."""
    limit = options.max_line_bytes
    with open_file(file.path) as stream, open_file(file.path) as again:
        start = head(stream, HEAD)
        if detect(start, file.label) != "csv" or wide_encoding(start[:4]):
            return []
        records = _records(split_lines(stream, limit), limit)
        first = next(records, None)
        if first is None or first.fault is not None or not _is_head(first.text, file.label, options):
            return []
        spans: list[Span] = []
        begin = line = 0
        for record in records:
            if record.offset - begin >= size:
                spans.append(_span(again, begin, record.offset, line, first.text))
                begin, line = record.offset, record.line - 1
        return [*spans, _span(again, begin, stream.tell(), line, first.text)]


def _span(stream: BufferedReader, begin: int, end: int, line: int, names: str) -> Span:
    digest = hashlib.sha256(stream.read(end - begin)).hexdigest()
    return Span(begin=begin, end=end, line=line, digest=digest, head=names if begin else "")


def _is_head(text: str, label: str, options: FilesOptions) -> bool:
    try:
        return bool(_names(_split(text, _delimiter(text, label)), options))
    except BadLine:
        return False


def _records(lines: Iterator[Line], limit: int) -> Iterator[_Record]:
    """Lines joined while a quote is open. One that is never closed costs the line it stands in, and no other."""
    waiting: list[Line] = []

    def take() -> Line | None:
        return waiting.pop(0) if waiting else next(lines, None)

    while (line := take()) is not None:
        record = _decoded(line)
        if record.fault is not None or record.text.count('"') % 2 == 0:
            if record.fault is not None or record.text.strip():
                yield record
            continue
        held: list[Line] = []
        texts, size, closed = [record.text], line.size, False
        while len(held) < MAX_RECORD_LINES and size <= limit and (more := take()) is not None:
            held.append(more)
            size += more.size
            decoded = _decoded(more)
            if decoded.fault is not None:
                break
            texts.append(decoded.text)
            if decoded.text.count('"') % 2:
                closed = True
                break
        if closed and _parses("\n".join(texts)):
            yield _Record(line.number, line.offset, "\n".join(texts))
        else:
            waiting[:0] = held
            yield _Record(line.number, line.offset, record.text, BadLine("csv", "a quote that is not closed"))


def _decoded(line: Line) -> _Record:
    if line.data is None:
        return _Record(line.number, line.offset, "", BadLine("too-long", f"a line of {line.size} bytes"))
    data = line.data.removeprefix(BOM.encode()) if line.offset == 0 else line.data
    try:
        return _Record(line.number, line.offset, decode_line(data), data=data)
    except BadLine as error:
        return _Record(line.number, line.offset, "", error, data)


def _parses(text: str) -> bool:
    """Whether what was joined is one record: two broken lines may look like one with a quote in it."""
    return any(_try(text, delimiter) is not None for delimiter in _DELIMITERS)


def _try(text: str, delimiter: str) -> list[str] | None:
    try:
        return _split(text, delimiter)
    except BadLine:
        return None


def _split(text: str, delimiter: str) -> list[str]:
    """The fields of one record. `BadLine`."""
    lines = [f"{line}\n" for line in text.split("\n")] if "\n" in text else [text]
    try:
        found = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadLine("csv", str(error)) from None
    if len(found) != 1:
        raise BadLine("csv", f"{len(found)} records where one was expected")
    return found[0]


def _delimiter(text: str, name: str) -> str:
    """What stands most often between the names."""
    if name.lower().endswith(".tsv"):
        return "\t"
    return max(_DELIMITERS, key=text.count)


def _names(names: Sequence[str], options: FilesOptions) -> list[str]:
    plain = [name.strip() for name in names]
    twice = next((name for name in plain if plain.count(name) > 1), None)
    if twice is not None:
        raise BadLine("duplicate-key", f"two columns are called {twice[:80]!r}")
    if options.input and options.input not in plain:
        raise BadLine("missing-input", f"no column {options.input}; there are {', '.join(map(repr, plain[:8]))}")
    if not options.input and len(plain) > 1 and not any(pair[0] in plain for pair in FIELDS):
        raise BadLine("missing-input", f"say which column is the input; there are {', '.join(map(repr, plain[:8]))}")
    return plain
