"""Parquet files: one row a row, the fields as in JSON Lines. Declared here, read by `parquet_rows`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kedge.data.sources.files import find_files
from kedge.data.types import Source, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetOptions:
    """As for `jsonl`. A row group that unpacks to more than `max_group_bytes` is quarantined, not read."""

    path: str | tuple[str, ...] = ""
    input: str = ""
    target: str = ""
    tags: tuple[str, ...] | None = None
    max_group_bytes: int = 1 << 30


def find(options: ParquetOptions, root: Path) -> list[SourceFile]:
    """The files named, and every .parquet in the folders named."""
    return find_files(options.path, root, SOURCE.suffixes)


SOURCE = Source(
    name="parquet",
    options=ParquetOptions,
    find=find,
    read="kedge.data.sources.parquet_rows:read",
    suffixes=(".parquet",),
    cuts={".parquet": "kedge.data.sources.parquet_rows:cut"},
)
