"""Plain text to be continued: paragraphs, lines or whole files, cut to a length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kedge.core.dataset import Reject, Row
from kedge.data.lines import split_lines
from kedge.data.rows import make_row, quarantine
from kedge.data.sources.files import find_files, head, open_source
from kedge.data.sources.jsonl import wide_encoding
from kedge.data.strict import BOM, BadLine, decode_line
from kedge.data.types import Source, SourceFile

Unit = Literal["line", "paragraph", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """What one row is; a piece over `max_chars` characters goes on in the next row."""

    path: str | tuple[str, ...] = ""
    unit: Unit = "paragraph"
    max_chars: int = 8_000
    max_line_bytes: int = 16 << 20


def find(options: TextOptions, root: Path) -> list[SourceFile]:
    """The files named, and every .txt and .md in the folders named."""
    return find_files(options.path, root, SOURCE.suffixes)


def read(file: SourceFile, options: TextOptions) -> Iterator[Row | Reject]:
    """A row a piece, named by its first line; a line that is not text is a reject and the rest goes on."""
    piece: list[str] = []
    begin = held = 0
    with open_source(file) as stream:
        wide = wide_encoding(head(stream, 4))
        if wide:
            yield quarantine(f"{file.label}:1", "encoding", f"the file is in {wide}: convert it to UTF-8")
            return
        for line in split_lines(stream, options.max_line_bytes):
            source = f"{file.label}:{line.number}"
            if line.data is None:
                yield quarantine(source, "too-long", f"byte {line.offset}: a line of {line.size} bytes")
                continue
            try:
                text = decode_line(line.data.removeprefix(BOM.encode()) if line.number == 1 else line.data)
            except BadLine as error:
                yield quarantine(source, error.reason, f"byte {line.offset}: {error.detail}", data=line.data)
                continue
            if piece and (_ends(text, options) or held + len(text) > options.max_chars):
                yield _row(file, begin, piece)
                piece, held = [], 0
            if text.strip() or (piece and options.unit == "file"):
                *full, text = _cut(text, options.max_chars)
                for part in full:
                    yield _row(file, line.number, [part])
                begin = begin if piece else line.number
                piece.append(text)
                held += len(text) + 1
    if piece:
        yield _row(file, begin, piece)


def _ends(text: str, options: TextOptions) -> bool:
    """Whether what was held before this line is a row."""
    return options.unit == "line" or (options.unit == "paragraph" and not text.strip())


def _cut(text: str, limit: int) -> list[str]:
    """The text in pieces of at most `limit` characters."""
    return [text[at : at + limit] for at in range(0, max(len(text), 1), limit)]


def _row(file: SourceFile, line: int, piece: list[str]) -> Row:
    return make_row(input="\n".join(piece), target="", source=f"{file.label}:{line}", tags={"file": file.label})


SOURCE = Source(
    name="text", options=TextOptions, find=find, read="kedge.data.sources.text:read", suffixes=(".txt", ".md", ".rst")
)
