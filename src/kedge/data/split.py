"""Divides rows into training, validation and test so that nothing leaks from one into another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kedge.core.dataset import Row, Split
from kedge.core.errors import Invalid
from kedge.core.hashing import canonical
from kedge.data.rows import drop
from kedge.data.types import Cleaned, SplitOptions

# A row gives way to one it would leak from: held-out rows to training, and validation to test.
ORDER = (Split.TRAIN, Split.TEST, Split.VALIDATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """Cleaned rows and the split of each."""

    cleaned: Cleaned
    splits: Sequence[Split]


def assign(groups: Sequence[str], options: SplitOptions) -> list[Split]:
    """The split that each row's group falls into: a group is never divided, and always falls the same way."""
    known = {group: _fall(group, options) for group in set(groups)}
    return [known[group] for group in groups]


def groups_by_tag(rows: Sequence[Row], tag: str) -> list[str]:
    """The value of a tag for each row. `Invalid` if a row has none."""
    for row in rows:
        if tag not in row.tags:
            raise Invalid(f"split.group is {tag!r}, but the row from {row.source} has no such tag")
    return [canonical(row.tags[tag]).decode() for row in rows]


def separate(cleaned: Cleaned, splits: Sequence[Split], options: SplitOptions) -> Divided:
    """Leave out held-out rows whose cluster, or one of whose `unseen` tags, occurs where they would leak from."""
    seen: dict[tuple[str, str], Split] = {}
    for row, cluster, split in _by_order(cleaned, splits):
        for key in _keys(row, cluster, options):
            seen.setdefault(key, split)
    rows, kept, clusters, rejects = [], [], [], list(cleaned.rejects)
    for row, cluster, split in zip(cleaned.rows, cleaned.clusters, splits, strict=True):
        leak = next((key for key in _keys(row, cluster, options) if seen[key] is not split), None)
        if leak is None:
            rows.append(row)
            kept.append(split)
            clusters.append(cluster)
        else:
            kind, value = leak
            rejects.append(drop(row, f"leak:{kind}", f"{split}: {kind} {value} is in {seen[leak]}"))
    return Divided(cleaned=Cleaned(rows=rows, rejects=rejects, clusters=clusters), splits=kept)


def count_splits(splits: Sequence[Split]) -> Mapping[Split, int]:
    """How many rows each split has."""
    return {split: sum(1 for each in splits if each is split) for split in Split}


def _fall(group: str, options: SplitOptions) -> Split:
    drawn = hashlib.sha256(f"split:{options.seed}:{group}".encode()).digest()
    share = int.from_bytes(drawn[:8], "big") / 2**64
    if share < options.test:
        return Split.TEST
    return Split.VALIDATION if share < options.test + options.validation else Split.TRAIN


def _by_order(cleaned: Cleaned, splits: Sequence[Split]) -> Iterator[tuple[Row, str, Split]]:
    for wanted in ORDER:
        for row, cluster, split in zip(cleaned.rows, cleaned.clusters, splits, strict=True):
            if split is wanted:
                yield row, cluster, split


def _keys(row: Row, cluster: str, options: SplitOptions) -> list[tuple[str, str]]:
    """What may occur in one split only."""
    tags = [(tag, canonical(row.tags[tag]).decode()) for tag in options.unseen if tag in row.tags]
    return [("cluster", cluster), *tags]
