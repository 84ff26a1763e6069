"""Finds a row by its id without reading the rows: beside each segment stands a sorted column of ids, and one of places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Segment
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.manifest import read_manifest
from kedge.core.ports import BlobStore
from kedge.data.read import firsts, read_at, read_dataset
from kedge.data.segments import Placed

SUFFIX = ".ids"

_HEX = re.compile(r"[0-9a-f]{6,32}")
_DIGITS = 16  # hexadecimal digits of an id that are in the column; the row itself tells the rest
_MANY = 16  # rows that begin with the same digits: more are not told


def encode_ids(ids: Sequence[str]) -> bytes:
    """The columns of one segment: 8 bytes a row of its id, sorted, then 4 bytes a row of its place."""
    heads = np.fromiter((int(row[:_DIGITS], 16) for row in ids), dtype=np.uint64, count=len(ids))
    order = np.argsort(heads, kind="stable")
    return heads[order].astype("<u8").tobytes() + order.astype("<u4").tobytes()


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
    segments = read_dataset(blobs, dataset).segments
    picked = list(_picked(blobs, dataset, segments, row))[:_MANY]
    rows = read_at(blobs, segments, picked) if picked else []
    return [placed for placed in rows if placed.row.id.startswith(row)]


def _picked(blobs: BlobStore, dataset: str, segments: Sequence[Segment], row: str) -> Iterator[int]:
    """The ordinals of rows that count and begin so."""
    manifest = read_manifest(blobs, dataset)
    low, high = _range(row[:_DIGITS])
    for segment, first in zip(segments, firsts(segments), strict=True):
        layer = manifest.layer(segment.title + SUFFIX)
        if layer is None:
            raise Broken(f"segment {segment.title} has no column of row ids", address=dataset)
        column = np.memmap(blobs.fetch(layer.digest), dtype=np.uint8, mode="r")
        if len(column) != segment.rows * 12:
            raise Broken(f"the row ids of segment {segment.title} are not complete", address=dataset)
        heads, places = column[: segment.rows * 8].view("<u8"), column[segment.rows * 8 :].view("<u4")
        begin, end = np.searchsorted(heads, np.array([low, high], dtype=np.uint64))
        end += int(np.searchsorted(heads[end:], np.uint64(high), side="right"))
        deleted = frozenset(segment.deleted) if end > begin else frozenset()
        yield from (first + int(at) for at in places[begin:end] if int(at) not in deleted)


def _range(prefix: str) -> tuple[int, int]:
    """The least and the greatest number that begin with these digits."""
    return int(prefix.ljust(_DIGITS, "0"), 16), int(prefix.ljust(_DIGITS, "f"), 16)


def open_array(path: Path) -> NDArray[Any]:
    """A mapped array. `Broken` if the file is not one; what needs a pickle is refused."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise Broken(f"not an array: {error}", address=str(path)) from error
    return array
