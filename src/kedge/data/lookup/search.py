"""Finds the rows nearest to a text. What it reads grows with the budget, not with the number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedge.core.artifact import Manifest
from kedge.core.errors import Broken, Invalid
from kedge.core.manifest import read_manifest
from kedge.core.ports import BlobStore, Silent
from kedge.data.locate import open_array
from kedge.data.lookup.build import collect, feature_weights, read_texts, row_weights, training_segments
from kedge.data.lookup.types import FEATURES, POSTINGS, STARTS, WEIGHTS, IndexConfig, RowHit
from kedge.data.read import read_at, read_dataset
from kedge.text.features import features

BUDGET = 400_000  # postings read to find candidates
CANDIDATES = 512  # rows whose similarity is computed exactly
MAX_TEXT = 20_000  # characters of the text that are looked at


@dataclass(frozen=True, slots=True)
class _Index:
    """The mapped arrays of an index."""

    config: IndexConfig
    features: NDArray[np.uint64]
    starts: NDArray[np.int64]
    postings: NDArray[np.uint32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Term:
    """A feature of the text that some row has: its postings and its weight."""

    rows: NDArray[np.uint32]
    weight: float


def nearest_rows(blobs: BlobStore, index: str, text: str, k: int = 5) -> list[RowHit]:
    """The `k` training rows most similar to a text, best first; fewer if fewer share anything with it.

    Candidates are the rows that share the text's rarest features; their similarity is exact. `NotFound`; `Invalid`.
    """
    return _nearest(blobs, _open(blobs, index), text, k)


def scan_rows(blobs: BlobStore, dataset: str, text: str, k: int = 5) -> list[RowHit]:
    """As `nearest_rows`, for a dataset that has no index: reads all its training rows, about 50,000 a second."""
    segments = training_segments(read_dataset(blobs, dataset))
    total = sum(segment.rows for segment in segments)
    postings = collect(read_texts(blobs, segments), Silent())
    config = IndexConfig(dataset=dataset, rows=total, segments=segments)
    weights = row_weights(postings, total)
    return _nearest(blobs, _Index(config, postings.features, postings.starts, postings.rows, weights), text, k)


def _nearest(blobs: BlobStore, index: _Index, text: str, k: int) -> list[RowHit]:
    found = features([text[:MAX_TEXT]]).values
    if not len(index.features) or not len(found):
        return []
    terms, total = _terms(index, found)
    rows = _candidates(terms)
    if not len(rows):
        return []
    shared = _shared(terms, rows)
    similarity = shared / (total + index.weights[rows] - shared)
    best = np.lexsort((rows, -similarity))[:k]
    placed = read_at(blobs, index.config.segments, rows[best].tolist())
    return [
        RowHit(row=each.row, similarity=round(min(float(similarity[at]), 1.0), 6))
        for each, at in zip(placed, best, strict=True)
    ]


def read_index(blobs: BlobStore, index: str) -> IndexConfig:
    """What an index is of. `NotFound`; `Invalid` if the artifact is something else."""
    return _config(blobs, read_manifest(blobs, index), index)


def _config(blobs: BlobStore, manifest: Manifest, index: str) -> IndexConfig:
    if manifest.layer(POSTINGS) is None:
        raise Invalid(
            "this artifact is not an index of rows", address=index, hint="an index is made by the step `index`"
        )
    try:
        return msgspec.json.decode(blobs.get(manifest.config.digest), type=IndexConfig)
    except msgspec.MsgspecError as error:
        raise Broken(f"the index cannot be read: {error}", address=index) from error


def _open(blobs: BlobStore, index: str) -> _Index:
    manifest = read_manifest(blobs, index)

    def array(title: str) -> NDArray[Any]:
        layer = manifest.layer(title)
        if layer is None:
            raise Broken(f"the index has no {title}", address=index)
        return open_array(blobs.fetch(layer.digest))

    config = _config(blobs, manifest, index)
    return _Index(config, array(FEATURES), array(STARTS), array(POSTINGS), array(WEIGHTS))


def _terms(index: _Index, found: NDArray[np.uint64]) -> tuple[list[_Term], float]:
    """The features that tell rows apart, rarest first, and the weight of all features, also of those no row has."""
    places = np.searchsorted(index.features, found)
    places[places == len(index.features)] = 0
    known = index.features[places] == found
    places = places[known]
    begins, ends = index.starts[places], index.starts[places + 1]
    rows = len(index.weights)
    weights = feature_weights(ends - begins, rows)
    strange = float(feature_weights(np.ones(1, dtype=np.int64), rows)[0]) * int(np.count_nonzero(~known))
    order = [i for i in np.argsort(ends - begins, kind="stable") if ends[i] > begins[i]]
    terms = [_Term(index.postings[begins[i] : ends[i]], float(weights[i])) for i in order]
    return terms, float(weights.sum()) + strange


def _candidates(terms: list[_Term]) -> NDArray[np.int64]:
    """The rows with most weight in the rarest features, ascending."""
    taken: list[NDArray[np.uint32]] = []
    weights: list[NDArray[np.float64]] = []
    left = BUDGET
    for term in terms:
        if taken and len(term.rows) > left:
            break
        part = term.rows[:left]
        taken.append(part)
        weights.append(np.full(len(part), term.weight))
        left -= len(part)
    if not taken:
        return np.empty(0, dtype=np.int64)
    found, places = np.unique(np.concatenate(taken), return_inverse=True)
    scores = np.bincount(places, weights=np.concatenate(weights))
    best = np.lexsort((found, -scores))[:CANDIDATES]
    return np.sort(found[best]).astype(np.int64)


def _shared(terms: list[_Term], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight each row shares with the text, over all features."""
    shared = np.zeros(len(rows))
    for term in terms:
        places = np.searchsorted(term.rows, rows.astype(np.uint32))
        places[places == len(term.rows)] = 0
        shared[term.rows[places] == rows] += term.weight
    return shared
