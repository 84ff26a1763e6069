"""What changed between two versions of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedge.core.dataset import Split
from kedge.core.ports import BlobStore
from kedge.data.read import read_dataset, read_placed
from kedge.data.types import DatasetDiff


def diff(blobs: BlobStore, before: str, after: str, *, sample: int = 20) -> DatasetDiff:
    """Rows that came, went, or moved to another split, by row id; and the parts of the recipe that differ."""
    old, new = _splits(blobs, before), _splits(blobs, after)
    added = sorted(new.keys() - old.keys())
    removed = sorted(old.keys() - new.keys())
    both = old.keys() & new.keys()
    moved = sorted(row for row in both if old[row] is not new[row])
    return DatasetDiff(
        before=before,
        after=after,
        added=len(added),
        removed=len(removed),
        moved=len(moved),
        kept=len(both) - len(moved),
        added_rows=tuple(added[:sample]),
        removed_rows=tuple(removed[:sample]),
        moved_rows=tuple(moved[:sample]),
        recipe=_changes(read_dataset(blobs, before).recipe, read_dataset(blobs, after).recipe),
    )


def _splits(blobs: BlobStore, dataset: str) -> dict[str, Split]:
    return {placed.row.id: placed.split for _, placed in read_placed(blobs, read_dataset(blobs, dataset))}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}
