"""What changed between two versions of a dataset: segments that both have are not read, the others by column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kedge.core.dataset import DatasetManifest, Segment
from kedge.core.ports import BlobStore
from kedge.data.arrays import from_numpy, indices, mask, strings
from kedge.data.digests import Digests, equal, from_hex, pick, sort
from kedge.data.read import read_dataset
from kedge.data.split import SPLITS
from kedge.data.types import DatasetDiff


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of segments that only one of the versions has as they are."""

    ids: NDArray[np.uint64]
    splits: NDArray[np.uint8]
    sources: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.ids)

    def hex(self, places: NDArray[np.int64]) -> tuple[str, ...]:
        """The ids of some of them, sorted."""
        return tuple(sorted(Digests(self.ids).hex(places)))


def diff(blobs: BlobStore, before: str, after: str, *, sample: int = 20) -> DatasetDiff:
    """Rows that came, went, were changed where they stood, or moved to another split; and what differs in the recipe.

    A row is changed if one with another id stands at the very place (file and line) where it stood.
    """
    old, new = read_dataset(blobs, before), read_dataset(blobs, after)
    mine, theirs, shared = _apart(blobs, old, new)
    both, places = _matches(mine, theirs)
    moved = both[mine.splits[both] != theirs.splits[places]]
    gone = np.setdiff1d(np.arange(len(mine)), both)
    come = np.setdiff1d(np.arange(len(theirs)), places)
    was, became = _changed(mine, theirs, gone, come)
    gone, come = np.setdiff1d(gone, was), np.setdiff1d(come, became)
    pairs = sorted(zip(Digests(mine.ids).hex(was), Digests(theirs.ids).hex(became), strict=True))
    return DatasetDiff(
        before=before,
        after=after,
        added=len(come),
        removed=len(gone),
        changed=len(was),
        moved=len(moved),
        kept=shared + len(both) - len(moved),
        added_rows=theirs.hex(come)[:sample],
        removed_rows=mine.hex(gone)[:sample],
        changed_rows=tuple(pairs[:sample]),
        moved_rows=mine.hex(moved)[:sample],
        recipe=_changes(old.recipe, new.recipe),
    )


def _apart(blobs: BlobStore, old: DatasetManifest, new: DatasetManifest) -> tuple[_Rows, _Rows, int]:
    """The rows of each version that the other may not have, and how many both have for sure."""
    before, after = {each.digest: each for each in old.segments}, {each.digest: each for each in new.segments}
    mine: list[tuple[Segment, Sequence[int] | None]] = []
    theirs: list[tuple[Segment, Sequence[int] | None]] = []
    shared = 0
    for digest, segment in before.items():
        other = after.get(digest)
        if other is None:
            mine.append((segment, None))
            continue
        here, there = set(segment.deleted), set(other.deleted)
        shared += segment.rows - len(here | there)
        mine.append((segment, sorted(there - here)))
        theirs.append((other, sorted(here - there)))
    theirs += [(segment, None) for digest, segment in after.items() if digest not in before]
    return _read(blobs, mine), _read(blobs, theirs), shared


def _read(blobs: BlobStore, chosen: Iterable[tuple[Segment, Sequence[int] | None]]) -> _Rows:
    """The rows of segments: those at the places given, or all that count."""
    ids, splits, sources = (
        [np.empty((0, 2), dtype=np.uint64)],
        [np.empty(0, dtype=np.uint8)],
        [strings([])],
    )
    for segment, places in chosen:
        if places is not None and not places:
            continue
        with pq.ParquetFile(blobs.fetch(segment.digest)) as parquet:
            table = parquet.read(columns=["id", "source"])
        if places is None and segment.deleted:
            alive = np.ones(segment.rows, dtype=bool)
            alive[list(segment.deleted)] = False
            table = table.filter(mask(alive))
        elif places is not None:
            table = table.take(indices(places))
        ids.append(from_hex(table.column("id").combine_chunks()))
        splits.append(np.full(len(table), SPLITS.index(segment.split), dtype=np.uint8))
        sources += table.column("source").chunks
    return _Rows(np.concatenate(ids), np.concatenate(splits), pa.chunked_array(sources, pa.string()))


def _matches(mine: _Rows, theirs: _Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where rows with the same ids stand in both."""
    if not len(mine) or not len(theirs):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    places = sort(theirs.ids).find(mine.ids, sort(mine.ids).order)
    same = np.flatnonzero(equal(pick(theirs.ids, places), mine.ids))
    return same, places[same]


def _changed(
    mine: _Rows, theirs: _Rows, gone: NDArray[np.int64], come: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that went and rows that came at the same place, one for one."""
    if not len(gone) or not len(come):
        return gone[:0], come[:0]
    old, new = mine.sources.take(from_numpy(gone)), theirs.sources.take(from_numpy(come))
    found = pc.index_in(old, value_set=new.combine_chunks()).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(~np.isnan(found.astype(np.float64)))
    places = found[at].astype(np.int64)
    _, first = np.unique(places, return_index=True)
    return gone[at[first]], come[places[first]]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}
