"""Indexes the training rows of a dataset by what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.dataset import DatasetManifest, Row, Segment, Split
from kedge.core.errors import Invalid
from kedge.core.manifest import write_artifact
from kedge.core.ports import BlobStore, Progress
from kedge.data.lookup.types import FEATURES, POSTINGS, STARTS, WEIGHTS, IndexConfig
from kedge.data.read import firsts, read_dataset, read_segment
from kedge.text.features import features

BATCH = 16_384
COMMON_SHARE = 0.1  # of the rows: what more of them have says nothing about any
COMMON_LEAST = 1000


@dataclass(frozen=True, slots=True)
class Postings:
    """Rows by feature: those of feature `i` are `rows[starts[i]:starts[i + 1]]`; a common feature has none."""

    features: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows have each feature."""
        return np.diff(self.starts)


def row_text(row: Row) -> str:
    """What of a row is searched."""
    return f"{row.input}\n{row.target}"


def build_index(blobs: BlobStore, dataset: str, *, folder: Path, progress: Progress) -> Artifact:
    """Write the index of a dataset's training rows; takes about 40 bytes of memory a feature. `Invalid` without rows."""
    segments = training_segments(read_dataset(blobs, dataset))
    total = sum(segment.rows for segment in segments)
    if not total:
        raise Invalid("the dataset has no training rows to index", address=dataset)
    progress.start(total, "indexing rows")
    postings = collect(read_texts(blobs, segments), progress)
    rows = total - sum(len(segment.deleted) for segment in segments)
    config = IndexConfig(dataset=dataset, rows=rows, segments=segments)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        FEATURES: _file(folder, FEATURES, postings.features),
        STARTS: _file(folder, STARTS, postings.starts),
        POSTINGS: _file(folder, POSTINGS, postings.rows),
        WEIGHTS: _file(folder, WEIGHTS, row_weights(postings, total)),
    }
    artifact = write_artifact(blobs, ArtifactKind.REPORT, msgspec.to_builtins(config), dict(files))
    for path in files.values():
        path.unlink()
    return artifact


def collect(texts: Iterator[tuple[int, str]], progress: Progress) -> Postings:
    """Turn numbered texts, in ascending order, into postings."""
    keys, owners = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.uint32)]
    count = 0
    for ordinals, batch in _batches(texts):
        found = features(batch)
        keys.append(found.values)
        owners.append(np.repeat(np.array(ordinals, dtype=np.uint32), found.lengths))
        count += len(batch)
        progress.advance(len(batch))
    key, owner = np.concatenate(keys), np.concatenate(owners)
    del keys, owners
    order = np.argsort(key, kind="stable")  # stable: rows stay ascending within a feature
    key, owner = key[order], owner[order]
    del order
    fresh = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1]))) if len(key) else np.empty(0, dtype=np.int64)
    counts = np.diff(np.append(fresh, len(key)))
    common = counts > max(COMMON_SHARE * count, COMMON_LEAST)
    starts = np.concatenate(([0], np.cumsum(np.where(common, 0, counts)))).astype(np.int64)
    return Postings(key[fresh], starts, owner[~np.repeat(common, counts)])


def feature_weights(counts: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """How telling features are: the more, the fewer of the rows have them; one without postings tells nothing."""
    return np.where(counts > 0, np.log1p(rows / np.maximum(counts, 1)), 0.0)


def row_weights(postings: Postings, rows: int) -> NDArray[np.float32]:
    """The sum of the weights of each row's features."""
    weights = np.repeat(feature_weights(postings.counts, rows), postings.counts)
    return np.bincount(postings.rows, weights=weights, minlength=rows).astype(np.float32)


def training_segments(manifest: DatasetManifest) -> tuple[Segment, ...]:
    """The segments that are indexed."""
    return tuple(segment for segment in manifest.segments if segment.split is Split.TRAIN)


def read_texts(blobs: BlobStore, segments: tuple[Segment, ...]) -> Iterator[tuple[int, str]]:
    """What of each row is searched, by its ordinal through these segments."""
    for segment, first in zip(segments, firsts(segments), strict=True):
        for at, placed in read_segment(blobs, segment):
            yield first + at, row_text(placed.row)


def _batches(texts: Iterator[tuple[int, str]]) -> Iterator[tuple[list[int], list[str]]]:
    ordinals: list[int] = []
    batch: list[str] = []
    chars = 0
    for ordinal, text in texts:
        ordinals.append(ordinal)
        batch.append(text)
        chars += len(text)
        if len(batch) == BATCH or chars > BATCH * 256:
            yield ordinals, batch
            ordinals, batch, chars = [], [], 0
    if batch:
        yield ordinals, batch


def _file(folder: Path, name: str, array: NDArray[Any]) -> Path:
    path = folder / name
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
    return path
