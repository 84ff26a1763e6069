"""JSON Lines: one object a line. What readers of JSON disagree about is quarantined with its line and offset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.core.dataset import Reject, Row
from kedge.data.lines import Line, split_lines
from kedge.data.rows import make_row, quarantine
from kedge.data.shapes.recognise import recognise
from kedge.data.sources.files import find_files, head, open_source
from kedge.data.strict import BOM, BadLine, parse_object
from kedge.data.types import Source, SourceFile

FIELDS = (
    ("input", "target"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("question", "answer"),
    ("text", ""),
)
_UTF8_BOM = BOM.encode()
_WIDE_BOMS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonlOptions:
    """`input` and `target` name the fields; without `input`, the first known pair (`FIELDS`) a line has is taken.

    Every other field is a tag, or only those in `tags`.
    """

    path: str | tuple[str, ...] = ""
    input: str = ""
    target: str = ""
    tags: tuple[str, ...] | None = None
    max_line_bytes: int = 16 << 20


def find(options: JsonlOptions, root: Path) -> list[SourceFile]:
    """The files named, and every .jsonl and .ndjson in the folders named."""
    return find_files(options.path, root, SOURCE.suffixes)


def read(file: SourceFile, options: JsonlOptions) -> Iterator[Row | Reject]:
    """A row a line, or a reject. Blank lines are nothing."""
    with open_source(file) as stream:
        wide = wide_encoding(head(stream, 4)) if not file.offset else ""
        if wide:
            yield quarantine(f"{file.label}:1", "encoding", f"the file is in {wide}: convert it to UTF-8")
            return
        for line in split_lines(stream, options.max_line_bytes):
            data = line.data
            if line.offset == 0 and not file.offset and data is not None:
                data = data.removeprefix(_UTF8_BOM)
            if data is None or data.strip():
                yield _row(file, Line(line.number + file.line, line.offset + file.offset, line.size, data), options)


def wide_encoding(start: bytes) -> str:
    """The encoding that a byte order mark of more than one byte a character tells, or ""."""
    return next((name for mark, name in _WIDE_BOMS if start.startswith(mark)), "")


def _row(file: SourceFile, line: Line, options: JsonlOptions) -> Row | Reject:
    source = f"{file.label}:{line.number}"
    at = f"byte {line.offset}"
    if line.data is None:
        return quarantine(
            source, "too-long", f"{at}: a line of {line.size} bytes; the limit is {options.max_line_bytes}"
        )
    try:
        return take_fields(parse_object(line.data), source, options.input, options.target, options.tags)
    except BadLine as error:
        return quarantine(source, error.reason, f"{at}: {error.detail}", data=line.data)


def take_fields(values: Mapping[str, Any], source: str, input: str, target: str, tags: tuple[str, ...] | None) -> Row:
    """The row that named values make: by the fields named, else by the shape they are of. `BadLine`."""
    shaped = None if input or target else recognise(values)
    if shaped is not None:
        kept = {
            name: value for name, value in values.items() if name not in shaped.used and (tags is None or name in tags)
        }
        return make_row(input=shaped.input, target=shaped.target, source=source, tags={**kept, **shaped.tags})
    known = next((pair for pair in FIELDS if pair[0] in values), ("", ""))
    asked = input or known[0]
    answered = target or ("" if input else known[1])
    if asked not in values:
        names = ", ".join(repr(name)[:40] for name in list(values)[:8]) or "none"
        raise BadLine(
            "missing-input", f"no field {input or ' or '.join(pair[0] for pair in FIELDS)}; there are {names}"
        )
    text = values[asked]
    if not isinstance(text, str):
        raise BadLine("type", f"{asked!r} must be a text, not {type(text).__name__}")
    kept = {
        name: value
        for name, value in values.items()
        if name not in (asked, answered) and (tags is None or name in tags)
    }
    return make_row(input=text, target=_target(values, answered), source=source, tags=kept)


def _target(values: Mapping[str, Any], name: str) -> str:
    """The target as text: what is not text is written as JSON."""
    value = values.get(name) if name else ""
    if value is None:
        raise BadLine("missing-target", f"no field {name!r}")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


SOURCE = Source(
    name="jsonl",
    options=JsonlOptions,
    find=find,
    read="kedge.data.sources.jsonl:read",
    suffixes=(".jsonl", ".ndjson"),
    lines=(".jsonl", ".ndjson"),
)
