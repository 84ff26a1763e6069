"""Rows, files and datasets for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kedge.core.dataset import Row
from kedge.core.ports import BlobStore, Silent
from kedge.data.build import build
from kedge.data.rows import make_row
from kedge.data.sources.jsonl import SOURCE, JsonlOptions
from kedge.data.types import BoundSource, BuildRequest, BuildResult, Cleaned


def make_rows(*inputs: str, target: str = "", **tags: Any) -> list[Row]:
    """A row for each input, from the lines of one file."""
    return [make_row(input=text, target=target, source=f"f:{i + 1}", tags=tags) for i, text in enumerate(inputs)]


def make_cleaned(rows: Sequence[Row]) -> Cleaned:
    """Rows of which each is a cluster of its own."""
    return Cleaned(rows=rows, rejects=(), clusters=[row.id for row in rows])


def make_examples(count: int, begin: int = 0) -> list[dict[str, Any]]:
    """Different questions with their answers and a tag."""
    return [
        {"input": f"what is {i * i} and {i} in words, number {i * 7919}?", "target": str(i), "even": i % 2 == 0}
        for i in range(begin, begin + count)
    ]


def write_jsonl(path: Path, values: Iterable[dict[str, Any]]) -> Path:
    """A file of JSON Lines."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def make_request(path: str = "rows.jsonl", **options: Any) -> BuildRequest:
    """A request for a dataset of one file."""
    source = BoundSource(source=SOURCE, options=JsonlOptions(path=path))
    return BuildRequest(**{"name": "questions", "sources": (source,), **options})


def build_dataset(blobs: BlobStore, root: Path, **options: Any) -> BuildResult:
    """A dataset of the file `rows.jsonl` in a folder."""
    return build(make_request(**options), root=root, folder=root / "work", blobs=blobs, progress=Silent())
