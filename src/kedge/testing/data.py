"""Rows, files and datasets for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.dataset import Reject, Row, Split
from kedge.core.ports import BlobStore, Silent
from kedge.data.build import build
from kedge.data.divide import divide, tell
from kedge.data.duplicates import open_signatures
from kedge.data.keyed import keyed, to_batch
from kedge.data.numbers import column_of
from kedge.data.rows import make_row
from kedge.data.sources.jsonl import SOURCE, JsonlOptions
from kedge.data.split import SPLITS
from kedge.data.types import BoundSource, BuildRequest, BuildResult, DuplicateOptions, SplitOptions


def make_rows(*inputs: str, target: str = "", **tags: Any) -> list[Row]:
    """A row for each input, from the lines of one file."""
    return [make_row(input=text, target=target, source=f"f:{i + 1}", tags=tags) for i, text in enumerate(inputs)]


class MemoryRows:
    """Rows that passed the row-local stages, in memory. Implements `StoredRows`."""

    def __init__(self, rows: Sequence[Row], duplicates: DuplicateOptions | None = None) -> None:
        signed = open_signatures(duplicates or DuplicateOptions())
        self.batch = keyed(signed(to_batch(rows)).batch)

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows, two at a time."""
        chosen = self.batch.select(list(columns))
        yield from (chosen.slice(at, 2) for at in range(0, len(self), 2))

    def numbers(self, column: str) -> NDArray[Any]:
        """A column of digests or lengths of all rows."""
        return column_of(self.batch, column)

    def take(self, ordinals: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """The rows with these numbers, in the order asked for."""
        return pa.Table.from_batches([self.batch.select(list(columns)).take(pa.array(ordinals))])


@dataclass(frozen=True, slots=True)
class DividedRows:
    """Rows that stay, each with its split and the id of its cluster; and the rejects of the others."""

    rows: list[Row]
    splits: list[Split]
    clusters: list[str]
    rejects: list[Reject]


def divide_rows(
    rows: Sequence[Row], split: SplitOptions | None = None, duplicates: DuplicateOptions | None = None
) -> DividedRows:
    """What a build makes of rows once they are read."""
    split, stored = split or SplitOptions(test=0, validation=0), MemoryRows(rows, duplicates)
    found = divide(stored, duplicates or DuplicateOptions(), split, Silent())
    return DividedRows(
        rows=[rows[i] for i in found.kept],
        splits=[SPLITS[i] for i in found.splits],
        clusters=found.ids.hex(found.heads),
        rejects=list(tell(stored, found, split)),
    )


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
