"""Clusters of near rows, kept from one build to the next: then only rows that are new are compared, with all others.

The result is that of comparing all with all. Where that cannot be said for sure (a row of a cluster is gone, very many
rows share a part of their signature, most rows are new), all are compared with all.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedge.core.errors import Broken
from kedge.core.hashing import digest_of
from kedge.core.spec import to_plain
from kedge.data.code import digest_code
from kedge.data.digests import Places, equal, pick
from kedge.data.duplicates import (
    AT_ONCE,
    BAND_SIZE,
    BANDS,
    PAIRS,
    SIGNATURE,
    WINDOW,
    band_keys,
    find_clusters,
    join,
    minima_of,
    settle,
    smallest,
)
from kedge.data.locate import open_array
from kedge.data.stage import StoredRows
from kedge.data.types import DuplicateOptions
from kedge.text.minhash import band_key, pairs_of

NOW = "now"
KEYS, PLACES = "keys", "places"
MOST = 0.25  # share of new rows up to which they are compared apart
WORTH = 0.02  # share of new rows from which on what is known is written anew: until then they are compared again
FEW = 1000  # rows that are compared anew as quickly as they are looked up


@dataclass(frozen=True, slots=True)
class _Known:
    """What a build kept: ids and contents of its rows, the order of the ids' first numbers, the place of the head of each
    one's cluster, and for each band the keys of the rows, sorted, with their places."""

    ids: NDArray[np.uint64]
    order: NDArray[np.int64]
    contents: NDArray[np.uint64]
    heads: NDArray[np.int64]
    keys: NDArray[np.uint64]
    places: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Told:
    """What rows say: their ids, where each of these is found, and what the texts are."""

    ids: NDArray[np.uint64]
    contents: NDArray[np.uint64]
    places: Places


class _Now(msgspec.Struct, frozen=True):
    """Which folder is in force, and what decides beside the rows."""

    folder: str
    identity: str


def clusters(
    rows: StoredRows, kept: NDArray[np.int64], options: DuplicateOptions, told: Told, memory: Path
) -> NDArray[np.int64]:
    """`find_clusters` of the rows `kept`, of which we are `told`. `memory` is a folder that stays; losing it costs only
    time."""
    if len(kept) < FEW or options.near >= 1:
        return find_clusters(rows, kept, options)
    identity = digest_of([to_plain(options), digest_code(())])
    known = _recall(memory, identity)
    if known is not None:
        places = _places(known, told)
        new = np.delete(np.arange(len(kept)), places[places >= 0])
        if np.array_equal(places, np.arange(len(kept))):
            return kept[known.heads]
        if len(new) <= MOST * len(kept) and _is_whole(known, places):
            heads = _grow(rows, kept, options, known, places, new)
            if heads is not None:
                if len(new) > WORTH * len(kept):
                    _keep(memory, identity, told, heads, _grown(rows, kept, known, places, new))
                return kept[heads]
    heads = np.searchsorted(kept, find_clusters(rows, kept, options))
    _keep(memory, identity, told, heads, _sorted(rows, kept))
    return kept[heads]


def _places(known: _Known, told: Told) -> NDArray[np.int64]:
    """Where each row that is known stands now, -1 for one that is gone or says something else."""
    found = told.places.find(known.ids, known.order)
    same = equal(pick(told.ids, found), known.ids) & equal(pick(told.contents, found), known.contents)
    return np.where(same, found, -1)


def _is_whole(known: _Known, places: NDArray[np.int64]) -> bool:
    """Whether no row is gone that may have held a cluster together."""
    gone = np.flatnonzero(places < 0)
    sizes = np.bincount(known.heads, minlength=len(places))
    return bool((sizes[known.heads[gone]] == 1).all())


def _grow(
    rows: StoredRows,
    kept: NDArray[np.int64],
    options: DuplicateOptions,
    known: _Known,
    places: NDArray[np.int64],
    new: NDArray[np.int64],
) -> NDArray[np.int64] | None:
    """The place of the head of each row's cluster; None where a part of a signature is shared by too many."""
    roots, apart = np.arange(len(kept), dtype=np.int64), set[tuple[int, int]]()
    stay = places >= 0
    roots[places[stay]] = places[known.heads[stay]]
    for number, keys in enumerate(_keys_of(rows, kept, new)):
        for pairs in _pairs(known, places, new, number, keys):
            if pairs is None:
                return None
            for begin in range(0, len(pairs), PAIRS):
                join(rows, kept, (roots, apart), pairs[begin : begin + PAIRS], options)
    return smallest(rows, kept, settle(roots))


def _pairs(
    known: _Known, places: NDArray[np.int64], new: NDArray[np.int64], number: int, keys: NDArray[np.uint64]
) -> Iterator[NDArray[np.int64] | None]:
    """New rows with the rows of the same key in one band; None if there are more than are all compared."""
    sorted_keys, at = known.keys[number], known.places[number]
    low, high = _stretches(sorted_keys, keys)
    _, inverse, times = np.unique(keys, return_inverse=True, return_counts=True)
    if len(keys) and int((high - low + times[inverse]).max()) > WINDOW:
        yield None
        return
    for distance in range(int((high - low).max(initial=0))):
        some = np.flatnonzero(low + distance < high)
        others = places[at[low[some] + distance]]
        pairs = np.sort(np.stack((new[some], others), axis=1), axis=1)
        yield pairs[others >= 0]
    for among in pairs_of(keys, WINDOW):
        yield new[among]


def _stretches(ordered: NDArray[np.uint64], keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where among ordered keys those that are the same begin and end. They are looked for in their order, which finds
    each one near the one before; and few are there."""
    order = np.argsort(keys)
    begins = np.searchsorted(ordered, keys[order])
    ends = begins.copy()
    there = np.flatnonzero(begins < len(ordered))
    there = there[ordered[begins[there]] == keys[order[there]]]
    ends[there] = np.searchsorted(ordered, keys[order[there]], side="right")
    low, high = np.empty_like(begins), np.empty_like(ends)
    low[order], high[order] = begins, ends
    return low, high


def _keys_of(rows: StoredRows, kept: NDArray[np.int64], new: NDArray[np.int64]) -> Iterator[NDArray[np.uint64]]:
    """For each band the keys of some rows."""
    column = rows.take(kept[new], [SIGNATURE]).column(SIGNATURE).combine_chunks()
    minima = minima_of(column.chunk(0) if hasattr(column, "chunk") else column)
    for band in range(BANDS):
        yield band_key(minima[:, band * BAND_SIZE : (band + 1) * BAND_SIZE])


Bands = Iterator[tuple[NDArray[np.uint64], NDArray[np.int32]]]


def _grown(
    rows: StoredRows, kept: NDArray[np.int64], known: _Known, places: NDArray[np.int64], new: NDArray[np.int64]
) -> Bands:
    """The bands of what was known, without what is gone and with what is new."""
    for number, keys in enumerate(_keys_of(rows, kept, new)):
        moved = places[known.places[number]]
        stay = moved >= 0
        before, order = known.keys[number][stay], np.argsort(keys, kind="stable")
        into = np.searchsorted(before, keys[order])
        yield np.insert(before, into, keys[order]), np.insert(moved[stay], into, new[order]).astype(np.int32)


def _sorted(rows: StoredRows, kept: NDArray[np.int64]) -> Bands:
    """The bands of all rows."""
    for first in range(0, BANDS, AT_ONCE):
        for keys in band_keys(rows, kept, range(first, first + AT_ONCE)):
            order = np.argsort(keys, kind="stable")
            yield keys[order], order.astype(np.int32)


def _recall(memory: Path, identity: str) -> _Known | None:
    try:
        now = msgspec.json.decode((memory / NOW).read_bytes(), type=_Now)
    except (OSError, msgspec.MsgspecError):
        return None
    if now.identity != identity:
        return None
    folder = memory / now.folder
    try:
        known = _Known(
            ids=open_array(folder / "ids.npy"),
            order=open_array(folder / "order.npy"),
            contents=open_array(folder / "contents.npy"),
            heads=open_array(folder / "heads.npy"),
            keys=np.memmap(folder / KEYS, dtype="<u8", mode="r").reshape(BANDS, -1),
            places=np.memmap(folder / PLACES, dtype="<i4", mode="r").reshape(BANDS, -1),
        )
    except (OSError, ValueError, Broken):  # a file that is not whole has another shape
        return None
    rows = len(known.heads)
    whole = len(known.ids) == len(known.order) == len(known.contents) == rows
    return known if whole and known.keys.shape == known.places.shape == (BANDS, rows) else None


def _keep(memory: Path, identity: str, told: Told, heads: NDArray[np.int64], bands: Bands) -> None:
    """Replace what is known. Nothing is kept where more rows share a key than are all compared."""
    folder = memory / secrets.token_hex(8)
    folder.mkdir(parents=True)
    arrays = {"ids": told.ids, "order": told.places.order, "contents": told.contents, "heads": heads}
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            _sync(file)
    if _write(folder, bands):
        temporary = memory / f".{NOW}.{folder.name}"
        temporary.write_bytes(msgspec.json.encode(_Now(folder.name, identity)))
        temporary.replace(memory / NOW)
    else:
        shutil.rmtree(folder)
        (memory / NOW).unlink(missing_ok=True)
    for other in memory.iterdir():
        if other.is_dir() and other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _write(folder: Path, bands: Bands) -> bool:
    """Write band behind band, never all at once in memory; False where more rows share a key than are all compared."""
    with (folder / KEYS).open("wb") as all_keys, (folder / PLACES).open("wb") as all_places:
        for keys, places in bands:
            if len(keys) > WINDOW and (keys[WINDOW:] == keys[:-WINDOW]).any():
                return False
            all_keys.write(keys.astype("<u8", copy=False).data)
            all_places.write(places.astype("<i4", copy=False).data)
        _sync(all_keys)
        _sync(all_places)
    return True


def _sync(file: BinaryIO) -> None:
    """Have it on disk before it is in force: what a power cut left half-written would be believed."""
    file.flush()
    os.fsync(file.fileno())
