"""Decides which rows stay and in which split, so that nothing is there twice and nothing leaks.

It works on digests and numbers, not on texts: about a hundred bytes a row while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Reject
from kedge.core.errors import Invalid
from kedge.core.hashing import canonical
from kedge.core.ports import Progress
from kedge.data.clusters import Told, clusters
from kedge.data.digests import Digests, Places, equal, key_of, least, pick, sort
from kedge.data.duplicates import find_clusters
from kedge.data.keyed import CONTENT
from kedge.data.quality.judge import NOTHING, Judged
from kedge.data.records import Before, Matched
from kedge.data.rows import DETAIL
from kedge.data.split import RANK, SPLITS, assign_stratum, assign_time, fall, fall_all
from kedge.data.stage import StoredRows
from kedge.data.tags import tag_text
from kedge.data.types import DuplicateOptions, SplitOptions

_RANKS = np.array([RANK[split] for split in SPLITS], dtype=np.uint8)
_CHUNK = 4096
_UNKNOWN = 255  # a split that was not drawn


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that one step leaves out, ascending, and for each the row it gives way to."""

    step: str
    rows: NDArray[np.int64]
    others: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leaks:
    """Rows that would leak: what leaks (0 is the cluster, then the tags of `unseen`), from which split and into which."""

    rows: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    splits: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    heads: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Divided:
    """The rows that stay, ascending, with the split and the head of the cluster of each; and the others, step by step.

    `order` is that of their ids' first numbers; `matched` are rows that the version before has.
    """

    ids: Digests
    order: NDArray[np.int64]
    kept: NDArray[np.int64]
    splits: NDArray[np.uint8]
    heads: NDArray[np.int64]
    dropped: tuple[Dropped, ...]
    leaks: Leaks
    matched: Sequence[Matched] = ()
    judged: Judged = NOTHING


@dataclass(frozen=True, slots=True)
class _Columns:
    """What is known of every row. `splits` is by group, if rows are split by one; `unseen` has 0 for a tag not there."""

    ids: Digests
    contents: Digests
    splits: NDArray[np.uint8] | None
    unseen: NDArray[np.uint64]


def divide(
    rows: StoredRows,
    duplicates: DuplicateOptions,
    split: SplitOptions,
    progress: Progress,
    judged: Judged = NOTHING,
    memory: Path | None = None,
    before: Before | None = None,
) -> Divided:
    """Leave out what was judged, what is there twice, and then what would leak from one split into another.

    `memory` is a folder that stays from build to build: what was compared is kept there. The splits of the version
    `before` are not drawn again, if they were drawn with these options.
    """
    progress.start(4, "comparing rows")
    columns = _columns(rows, split)
    progress.advance()
    every = sort(columns.ids.pairs)
    kept = np.delete(np.arange(len(rows), dtype=np.int64), judged.rows)
    kept, same = _once(kept, columns.ids, every, "duplicate:id", np.zeros(len(rows), dtype=np.uint8))
    dropped = [same]
    matched = list(before.match(columns.ids.pairs, kept, every.among(kept, len(rows)))) if before else []
    if duplicates.exact:
        contents = sort(columns.contents.pairs)
        held_out = np.zeros(len(rows), np.uint8) if columns.splits is None else (columns.splits != 0).astype(np.uint8)
        kept, same = _once(kept, columns.contents, contents, "duplicate:exact", held_out, ids=columns.ids)
        dropped.append(same)
    progress.advance()
    if memory is None:
        heads = find_clusters(rows, kept, duplicates)
    else:
        places = every.among(kept, len(rows))
        own, texts = pick(columns.ids.pairs, kept), pick(columns.contents.pairs, kept)
        heads = clusters(rows, kept, duplicates, Told(own, texts, places), memory)
    if duplicates.drop_near:
        near = heads != kept
        dropped.append(Dropped("duplicate:near", kept[near], heads[near]))
        kept = heads = kept[~near]
    progress.advance()
    fallen = _fallen(rows, columns, kept, heads, split, matched if before and before.is_drawn(split) else ())
    apart = _separate(columns, every, kept, heads, fallen, tuple(dropped))
    divided = replace(apart, matched=matched, judged=judged)
    progress.advance()
    progress.note(rows=len(divided.kept), dropped=len(rows) - len(divided.kept))
    return divided


def tell(rows: StoredRows, divided: Divided, options: SplitOptions) -> Iterator[Reject]:
    """A reject for each row that was left out, step by step."""
    judged = divided.judged
    for begin in range(0, len(judged.rows), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        table = rows.take(judged.rows[part], ["id", "source"]).to_pylist()
        for row, reason, detail in zip(table, judged.reasons[part], judged.details[part], strict=True):
            yield Reject(source=row["source"], reason=reason, detail=detail[:DETAIL], row=row["id"])
    for dropped in divided.dropped:
        for begin in range(0, len(dropped.rows), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            table = rows.take(dropped.rows[part], ["id", "source"]).to_pylist()
            for row, other in zip(table, divided.ids.hex(dropped.others[part]), strict=True):
                yield Reject(
                    source=row["source"], reason=dropped.step, detail=_GIVES_WAY[dropped.step] + other, row=row["id"]
                )
    leaks = divided.leaks
    for begin in range(0, len(leaks.rows), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        table = rows.take(leaks.rows[part], ["id", "source", "tags"]).to_pylist()
        told = zip(
            table,
            leaks.kinds[part],
            leaks.splits[part],
            leaks.seen[part],
            divided.ids.hex(leaks.heads[part]),
            strict=True,
        )
        for row, kind, own, seen, cluster in told:
            name = ("cluster", *options.unseen)[kind]
            value = canonical(msgspec.json.decode(row["tags"])[name]).decode() if kind else cluster
            detail = f"{SPLITS[own]}: {name} {value} is in {SPLITS[seen]}"
            yield Reject(source=row["source"], reason=f"leak:{name}", detail=detail[:DETAIL], row=row["id"])


_GIVES_WAY = {
    "duplicate:id": "the same content under the same name and line as ",
    "duplicate:exact": "the same as ",
    "duplicate:near": "near ",
}


def _columns(rows: StoredRows, options: SplitOptions) -> _Columns:
    """The rows' digests and, if a tag decides anything, one pass over their tags."""
    splits = np.empty(len(rows), dtype=np.uint8) if options.group else None
    unseen = np.zeros((len(options.unseen), len(rows)), dtype=np.uint64)
    fallen = lru_cache(maxsize=1 << 16)(lambda group: SPLITS.index(fall(group, options)))
    at = 0
    for batch in rows.scan(["tags", "source"]) if options.group or options.unseen else ():
        end = at + batch.num_rows
        tags = [msgspec.json.decode(text) for text in batch.column("tags").to_pylist()]
        for i, tag in enumerate(options.unseen):
            unseen[i, at:end] = [key_of(tag_text(each[tag])) if tag in each else 0 for each in tags]
        if splits is not None:
            splits[at:end] = [fallen(group) for group in _groups(tags, batch, options.group)]
        at = end
    return _Columns(Digests(rows.numbers("id")), Digests(rows.numbers(CONTENT)), splits, unseen)


def _groups(tags: Sequence[dict[str, Any]], batch: Any, group: str) -> Iterator[str]:
    for at, each in enumerate(tags):
        if group not in each:
            source = batch.column("source")[at].as_py()
            raise Invalid(f"split.group is {group!r}, but the row from {source} has no such tag")
        yield tag_text(each[group])


def _once(
    kept: NDArray[np.int64],
    keys: Digests,
    places: Places,
    step: str,
    rank: NDArray[np.uint8],
    *,
    ids: Digests | None = None,
) -> tuple[NDArray[np.int64], Dropped]:
    """One row of each key: of the least rank, and of those the first, or the one with the smallest of `ids`."""
    staying = np.zeros(len(rank), dtype=bool)
    staying[kept] = True
    some = places.repeated()
    some = some[staying[some]]
    order = [keys.pairs[some, 1], keys.pairs[some, 0]]
    tie = [some] if ids is None else [ids.pairs[some, 1], ids.pairs[some, 0]]
    ranked = some[np.lexsort([*tie, rank[some], *order])]
    pairs = keys.pairs[ranked]
    fresh = np.ones(len(ranked), dtype=bool)
    fresh[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    best = ranked[fresh][np.cumsum(fresh) - 1] if len(ranked) else ranked
    lost, winners = ranked[~fresh], best[~fresh]
    back = np.argsort(lost, kind="stable")
    staying[lost] = False
    return kept[staying[kept]], Dropped(step, lost[back], winners[back])


def _fallen(
    rows: StoredRows,
    columns: _Columns,
    kept: NDArray[np.int64],
    heads: NDArray[np.int64],
    options: SplitOptions,
    drawn: Sequence[Matched],
) -> NDArray[np.uint8]:
    """The split of each row before leaks are looked for."""
    if options.time:
        return assign_time(rows, kept, options)
    if options.stratum:
        return assign_stratum(rows, kept, heads, columns.ids.hex(heads), options)
    if columns.splits is not None:
        return columns.splits[kept]
    return _by_cluster(columns.ids, heads, options, drawn)


def _by_cluster(
    ids: Digests, heads: NDArray[np.int64], options: SplitOptions, drawn: Sequence[Matched]
) -> NDArray[np.uint8]:
    """The split that each row's cluster falls into: that of its head, if it was `drawn` for it before."""
    splits = np.full(len(ids), _UNKNOWN, dtype=np.uint8)
    for each in drawn:
        own = each.records
        known = (each.rows >= 0) & equal(own.ids, own.clusters)
        known[list(each.segment.deleted)] = False  # by a version that may have drawn otherwise
        splits[each.rows[known]] = own.splits[known]
    result = splits[heads]
    left = np.flatnonzero(result == _UNKNOWN)
    for begin in range(0, len(left), _CHUNK):
        part = left[begin : begin + _CHUNK]
        result[part] = fall_all(ids.hex(heads[part]), options)
    return result


def _separate(
    columns: _Columns,
    every: Places,
    kept: NDArray[np.int64],
    heads: NDArray[np.int64],
    splits: NDArray[np.uint8],
    dropped: tuple[Dropped, ...],
) -> Divided:
    """Leave out held-out rows whose cluster, or one of whose `unseen` tags, occurs where they would leak from."""
    rank = _RANKS[splits]
    kinds = np.full(len(kept), 255, dtype=np.uint8)
    seen = np.zeros(len(kept), dtype=np.uint8)
    for kind in reversed(range(1 + len(columns.unseen))):
        tag = columns.unseen[kind - 1][kept] if kind else None
        first = least(heads if tag is None else np.unique(tag, return_inverse=True)[1], rank)
        leaking = first < rank if tag is None else (first < rank) & (tag != 0)
        kinds[leaking] = kind
        seen[leaking] = np.argsort(_RANKS).astype(np.uint8)[first[leaking]]
    out = kinds != 255
    leaks = Leaks(kept[out], kinds[out], splits[out], seen[out], heads[out])
    stay = kept[~out]
    order = every.among(stay, len(columns.ids)).order
    return Divided(columns.ids, order, stay, splits[~out], heads[~out], dropped, leaks)
