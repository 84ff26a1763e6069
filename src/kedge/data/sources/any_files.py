"""Files of any kind: each is read by what it is. Declared here, read by `readers.any_file`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kedge.data.readers.detect import SUFFIXES
from kedge.data.sources.files import find_files
from kedge.data.types import Source, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesOptions:
    """How rows are made of files, and what is too much.

    `input`, `target` and `tags` are as for `jsonl`, wherever a file has fields. Texts are cut as for `text`: `unit` is
    what one row is. `passed_over` are ends of names that are no data here. An archive may unpack to `max_ratio` times
    its size (once it is over `max_free_bytes`), to `max_unpacked_bytes` in all, to `max_members` files, `max_nesting`
    archives deep.
    """

    path: str | tuple[str, ...] = ""
    input: str = ""
    target: str = ""
    tags: tuple[str, ...] | None = None
    unit: Literal["line", "paragraph", "file"] = "paragraph"
    passed_over: tuple[str, ...] = ()
    max_line_bytes: int = 16 << 20
    max_document_bytes: int = 64 << 20
    max_pages: int = 5000
    max_ratio: int = 200
    max_free_bytes: int = 16 << 20
    max_unpacked_bytes: int = 256 << 30
    max_members: int = 100_000
    max_nesting: int = 3


def find(options: FilesOptions, root: Path) -> list[SourceFile]:
    """The files named, and every file in the folders named but the hidden ones and the project's own."""
    found = find_files(options.path, root, ("",))
    own = str(root / "kedge.toml")
    return [file for file in found if str(file.path) != own and not file.label.endswith(options.passed_over)]


SOURCE = Source(
    name="files",
    options=FilesOptions,
    find=find,
    read="kedge.data.readers.any_file:read",
    suffixes=SUFFIXES,
    lines=(".jsonl", ".ndjson"),
    cuts={
        ".csv": "kedge.data.readers.csv_records:cut",
        ".tsv": "kedge.data.readers.csv_records:cut",
        ".parquet": "kedge.data.sources.parquet_rows:cut",
        ".zip": "kedge.data.readers.zip_archive:cut",
        ".tar": "kedge.data.readers.tar_archive:cut",
    },
)
