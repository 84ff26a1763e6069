"""Reads a file of any kind by handing it to the reader of what it is."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from kedge.core.dataset import Reject, Row
from kedge.data.readers.detect import HEAD, detect
from kedge.data.rows import quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import head, open_source
from kedge.data.sources.jsonl import JsonlOptions
from kedge.data.sources.parquet import ParquetOptions
from kedge.data.sources.python_functions import PythonFunctionsOptions
from kedge.data.sources.text import TextOptions
from kedge.data.types import Medium, SourceFile

_Found = Iterator[Row | Reject | Medium]

_READERS: Final = {
    "jsonl": "kedge.data.sources.jsonl:read",
    "json": "kedge.data.readers.json_document:read",
    "csv": "kedge.data.readers.csv_records:read",
    "text": "kedge.data.sources.text:read",
    "html": "kedge.data.readers.html_document:read",
    "python": "kedge.data.sources.python_functions:read",
    "parquet": "kedge.data.sources.parquet_rows:read",
    "arrow": "kedge.data.readers.arrow_batches:read",
    "arrow-stream": "kedge.data.readers.arrow_batches:read",
    "pdf": "kedge.data.readers.pdf_pages:read",
    "zip": "kedge.data.readers.zip_archive:read",
    "tar": "kedge.data.readers.tar_archive:read",
    "gz": "kedge.data.readers.compressed:read",
    "bz2": "kedge.data.readers.compressed:read",
    "xz": "kedge.data.readers.compressed:read",
    "zst": "kedge.data.readers.compressed:read",
    "image": "kedge.data.readers.media_file:read",
    "audio": "kedge.data.readers.media_file:read",
}


def read(file: SourceFile, options: FilesOptions) -> _Found:
    """What the reader for this kind of file finds. A file of no known kind is a reject."""
    if file.offset:  # a later part of a file of lines or records
        kind = "csv" if file.head else "jsonl"
        return _reader(kind)(file, _options(kind, options))
    with open_source(file) as stream:
        start = head(stream, HEAD)
    return read_as(detect(start, file.label), file, options, empty=not start)


def read_as(kind: str, file: SourceFile, options: FilesOptions, *, empty: bool = False) -> _Found:
    """What the reader of a kind finds in a file."""
    if empty:
        return iter(())
    name = kind.partition("/")[0]
    if name not in _READERS:
        return iter([_unknown(kind, file)])
    return _reader(name)(file, _options(name, options))


def _reader(kind: str) -> Callable[[SourceFile, Any], _Found]:
    module, _, function = _READERS[kind].partition(":")
    return cast("Callable[[SourceFile, Any], _Found]", getattr(importlib.import_module(module), function))


def _options(kind: str, options: FilesOptions) -> Any:
    """The options of a reader that is a source of its own."""
    given, wanted, tags = options.input, options.target, options.tags
    if kind == "jsonl":
        return JsonlOptions(input=given, target=wanted, tags=tags, max_line_bytes=options.max_line_bytes)
    if kind == "parquet":
        return ParquetOptions(input=given, target=wanted, tags=tags)
    if kind == "text":
        return TextOptions(unit=options.unit, max_line_bytes=options.max_line_bytes)
    return PythonFunctionsOptions() if kind == "python" else options


def _unknown(kind: str, file: SourceFile) -> Reject:
    if kind.startswith("not-"):
        return quarantine(f"{file.label}:1", kind.removeprefix("not-"), f"named so, but it is no {kind[4:]} file")
    said = f"a file of kind {kind}" if kind else "neither text nor of a kind that is known"
    return quarantine(f"{file.label}:1", "unknown-kind", f"{said}: it is not read")
