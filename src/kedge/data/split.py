"""Which split rows fall into: by group, by time, or with the same shares in every stratum. A cluster is never divided."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.data.stage import StoredRows
from kedge.data.tags import tag_text
from kedge.data.types import SplitOptions

SPLITS: Final = tuple(Split)
RANK: Final = {Split.TRAIN: 0, Split.TEST: 1, Split.VALIDATION: 2}
"""A row gives way to one it would leak from: held-out rows to training, and validation to test."""


def fall(group: str, options: SplitOptions) -> Split:
    """The split of a group, drawn from its name and the seed."""
    drawn = hashlib.sha256(f"split:{options.seed}:{group}".encode()).digest()
    share = int.from_bytes(drawn[:8], "big") / 2**64
    if share < options.test:
        return Split.TEST
    return Split.VALIDATION if share < options.test + options.validation else Split.TRAIN


def fall_all(groups: Sequence[str], options: SplitOptions) -> NDArray[np.uint8]:
    """`fall` for many groups: the place of each one's split in `SPLITS`."""
    begun = hashlib.sha256(f"split:{options.seed}:".encode())
    drawn = np.empty(len(groups), dtype=np.uint64)
    for at, group in enumerate(groups):
        hasher = begun.copy()
        hasher.update(group.encode())
        drawn[at] = int.from_bytes(hasher.digest()[:8], "big")
    share = drawn / 2**64
    held_out = np.where(share < options.test + options.validation, SPLITS.index(Split.VALIDATION), 0)
    return np.where(share < options.test, SPLITS.index(Split.TEST), held_out).astype(np.uint8)


def assign_time(rows: StoredRows, kept: NDArray[np.int64], options: SplitOptions) -> NDArray[np.uint8]:
    """The newest rows to the test, those before them to validation. Rows of one time are not divided."""
    order, times = _ranked(_values(rows, kept, options.time, "time"))
    result = np.full(len(kept), SPLITS.index(Split.TRAIN), dtype=np.uint8)
    count = len(kept)
    first_test = count - round(options.test * count)
    first_validation = first_test - round(options.validation * count)
    if count:
        newer = np.searchsorted(times, times[min(first_test, count - 1)]) if first_test < count else count
        new = np.searchsorted(times, times[min(first_validation, count - 1)]) if first_validation < count else count
        result[order[new:newer]] = SPLITS.index(Split.VALIDATION)
        result[order[newer:]] = SPLITS.index(Split.TEST)
    return result


def assign_stratum(
    rows: StoredRows, kept: NDArray[np.int64], heads: NDArray[np.int64], names: list[str], options: SplitOptions
) -> NDArray[np.uint8]:
    """The shares within each value of a tag. A cluster belongs where its head does; `names` are the ids of the heads."""
    values = dict(zip(kept.tolist(), _values(rows, kept, options.stratum, "stratum"), strict=True))
    strata: dict[str | float, set[tuple[bytes, int]]] = {}
    for head, name in zip(heads.tolist(), names, strict=True):
        drawn = hashlib.sha256(f"stratum:{options.seed}:{name}".encode()).digest()
        strata.setdefault(values[head], set()).add((drawn, head))
    split_of: dict[int, int] = {}
    for members in strata.values():
        ordered = [head for _, head in sorted(members)]
        test = round(options.test * len(ordered))
        held_out = test + round(options.validation * len(ordered))
        for at, head in enumerate(ordered):
            split = Split.TEST if at < test else (Split.VALIDATION if at < held_out else Split.TRAIN)
            split_of[head] = SPLITS.index(split)
    return np.array([split_of[head] for head in heads.tolist()], dtype=np.uint8)


def _ranked(values: list[str | float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places in the order of the values, and the rank of each value in that order."""
    try:
        ranks = {value: rank for rank, value in enumerate(sorted(set(values)))}
    except TypeError as error:
        raise Invalid(
            "split.time: some rows have a number and others a text", hint="write all times one way"
        ) from error
    ranked = np.array([ranks[value] for value in values], dtype=np.int64)
    order = np.argsort(ranked, kind="stable")
    return order, ranked[order]


def _values(rows: StoredRows, kept: NDArray[np.int64], tag: str, option: str) -> list[str | float]:
    """What the rows kept have for a tag. `Invalid` names the first that has none."""
    found: list[str | float] = []
    first = done = 0
    for batch in rows.scan(["tags", "source"]):
        last = int(np.searchsorted(kept, first + batch.num_rows))
        tags = batch.column("tags")
        for at in (kept[done:last] - first).tolist():
            own = msgspec.json.decode(tags[at].as_py())
            if tag not in own:
                source = batch.column("source")[at].as_py()
                raise Invalid(f"split.{option} is {tag!r}, but the row from {source} has no such tag")
            value = own[tag]
            found.append(value if isinstance(value, str | int | float) else tag_text(value))
        first, done = first + batch.num_rows, last
    return found
