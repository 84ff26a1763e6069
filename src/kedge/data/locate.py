"""Finds a row by its id without reading the rows: a sorted column of ids beside one of places, both mapped."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import DatasetManifest
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.manifest import read_manifest
from kedge.core.ports import BlobStore
from kedge.data.read import read_at, read_dataset
from kedge.data.segments import Placed

IDS = "ids.npy"
PLACES = "places.npy"

_HEX = re.compile(r"[0-9a-f]{6,32}")
_DIGITS = 16  # hexadecimal digits of an id that are in the column; the row itself tells the rest


def encode_ids(ids: Sequence[str], ordinals: Sequence[int]) -> dict[str, bytes]:
    """The two columns as files of the dataset."""
    heads = np.fromiter((int(row[:_DIGITS], 16) for row in ids), dtype=np.uint64, count=len(ids))
    places = np.fromiter(ordinals, dtype=np.uint32, count=len(ordinals))
    order = np.argsort(heads, kind="stable")
    return {IDS: encode_array(heads[order]), PLACES: encode_array(places[order])}


def find_row(blobs: BlobStore, dataset: str, row: str) -> Placed:
    """The row with this id, or the only one whose id begins so (6 digits or more). `NotFound`; `Invalid`."""
    found = find_rows(blobs, dataset, row)
    if not found:
        raise NotFound(f"no row {row} in this dataset", address=dataset)
    if len(found) > 1:
        raise Invalid(f"{len(found)} rows begin with {row}", hint=f"one is {found[0].row.id}")
    return found[0]


def find_rows(blobs: BlobStore, dataset: str, row: str) -> list[Placed]:
    """The rows whose id begins with these digits, at most a few. `Invalid` if it cannot be an id."""
    if not _HEX.fullmatch(row):
        raise Invalid(f"not a row id: {row[:80]!r}", hint="a row id is 32 hexadecimal digits, or the first 6 or more")
    manifest = read_manifest(blobs, dataset)
    columns = [manifest.layer(title) for title in (IDS, PLACES)]
    if columns[0] is None or columns[1] is None:
        raise Broken("the dataset has no column of row ids", address=dataset)
    heads, places = (open_array(blobs.fetch(layer.digest)) for layer in columns if layer is not None)
    low, high = _range(row[:_DIGITS])
    begin, end = np.searchsorted(heads, np.array([low, high], dtype=np.uint64))
    end += bool(end < len(heads) and heads[end] == high)
    picked = [int(place) for place in places[begin : min(end, begin + 16)]]
    if not picked:
        return []
    rows = read_at(blobs, _segments(blobs, dataset), picked)
    return [placed for placed in rows if placed.row.id.startswith(row)]


def _segments(blobs: BlobStore, dataset: str) -> tuple[Any, ...]:
    manifest: DatasetManifest = read_dataset(blobs, dataset)
    return manifest.segments


def _range(prefix: str) -> tuple[int, int]:
    """The least and the greatest number that begin with these digits."""
    return int(prefix.ljust(_DIGITS, "0"), 16), int(prefix.ljust(_DIGITS, "f"), 16)


def encode_array(array: NDArray[Any]) -> bytes:
    """An array in NumPy's own format, without pickles."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def open_array(path: Path) -> NDArray[Any]:
    """A mapped array. `Broken` if the file is not one; what needs a pickle is refused."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise Broken(f"not an array: {error}", address=str(path)) from error
    return array
