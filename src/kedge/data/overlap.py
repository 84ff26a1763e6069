"""Keeps the texts of an evaluation out of what is learnt from: no row may share a run of words with one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.core.errors import Invalid
from kedge.core.hashing import digest
from kedge.data.arrays import from_numpy, strings
from kedge.data.columns import string_buffers, without
from kedge.data.stage import Passed, RowStage
from kedge.data.types import StageSpec
from kedge.text.compiled.shingles import word_shingles

LEAST = 5  # words of a text that is looked for at all: shorter ones are in everything


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapStage:
    """Which runs are looked for, and the file they lie in on this machine."""

    words: int
    runs: str
    local: str


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of words by length and number, ascending; and the text each was first seen in."""

    widths: NDArray[np.int64]
    numbers: NDArray[np.uint64]
    owners: NDArray[np.int64]
    names: Sequence[str]


def collect_runs(texts: Iterable[tuple[str, str]], words: int) -> Runs:
    """Every run of `words` words of texts, each given with its name; a shorter text is one run."""
    if words < LEAST:
        raise Invalid(f"overlap.words must be at least {LEAST}")
    named = list(texts)
    column = strings(text for _, text in named)
    parts: list[tuple[int, NDArray[np.uint64], NDArray[np.int64]]] = []
    sizes = np.array([_word_count(text) for _, text in named], dtype=np.int64)
    for width in sorted({int(min(size, words)) for size in sizes if size >= LEAST}):
        chosen = np.flatnonzero(np.minimum(sizes, words) == width)
        found = word_shingles(*string_buffers(column.take(from_numpy(chosen))), width)
        numbers, first = np.unique(found.values, return_index=True)
        parts.append((width, numbers, chosen[found.owners[first]]))
    return Runs(
        widths=np.concatenate([np.full(len(numbers), width) for width, numbers, _ in parts] or [np.empty(0, np.int64)]),
        numbers=np.concatenate([numbers for _, numbers, _ in parts] or [np.empty(0, np.uint64)]),
        owners=np.concatenate([owners for _, _, owners in parts] or [np.empty(0, np.int64)]),
        names=[name for name, _ in named],
    )


def overlap_stage(runs: Runs, words: int, folder: Path) -> StageSpec:
    """The stage, to be opened where rows are read; the runs are written to `folder` for all processes."""
    content = digest(runs.widths.tobytes() + runs.numbers.tobytes())
    path = folder / f"runs-{content[7:23]}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, widths=runs.widths, numbers=runs.numbers, owners=runs.owners, names=np.array(runs.names, dtype=str))
    options = OverlapStage(words=words, runs=content, local=str(path))
    return StageSpec(name="overlap", open="kedge.data.overlap:open_overlap", options=options)


def open_overlap(stage: OverlapStage) -> RowStage:
    """Rejects rows that share a run of words with a text of the evaluation, naming it."""
    with np.load(stage.local) as file:
        runs = Runs(file["widths"], file["numbers"], file["owners"], file["names"].tolist())
    return partial(_keep_apart, runs)


def _keep_apart(runs: Runs, batch: pa.RecordBatch) -> Passed:
    faults: list[tuple[str, str] | None] = [None] * batch.num_rows
    for width in np.unique(runs.widths)[::-1].tolist():
        inside = runs.widths == width
        numbers, owners = runs.numbers[inside], runs.owners[inside]
        for name in ("input", "target"):
            found = word_shingles(*string_buffers(batch.column(name)), width)
            at = np.minimum(np.searchsorted(numbers, found.values), len(numbers) - 1)
            hits = np.flatnonzero(numbers[at] == found.values)
            for row, owner in zip(found.owners[hits].tolist(), owners[at[hits]].tolist(), strict=True):
                faults[row] = faults[row] or ("overlap", f"{width} words in a row of {runs.names[owner]}")
    return without(batch, faults)


def _word_count(text: str) -> int:
    spelled = (each if each.isalnum() or category(each).startswith("M") else " " for each in text)
    return sum(any(map(str.isalnum, run)) for run in "".join(spelled).split())


def texts_of(values: Iterable[Any]) -> Iterable[str]:
    """Every string in some JSON, however deep."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from texts_of(value.values())
        elif isinstance(value, list):
            yield from texts_of(value)
