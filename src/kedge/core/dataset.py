"""Rows, and the manifest of a dataset version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Split(StrEnum):
    """Which part of a dataset a row belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One example. `source` is where it came from, as `path:line` or `path#offset`.

    `input` is what the model reads, `target` what it should answer ("" for plain text to continue).
    `tags` are the columns that evaluation slices by.
    """

    id: str
    input: str
    target: str
    source: str
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that was dropped or quarantined, and the rule that did it."""

    source: str
    reason: str
    detail: str = ""
    row: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One Parquet file of a dataset. `deleted` names the rows of it that no longer count, by ordinal."""

    split: Split
    title: str
    digest: str
    rows: int
    bytes: int
    deleted: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetManifest:
    """The config of a dataset artifact: identity over every row (`rows_digest`), and how it was made.

    `restored` is the version whose content this one has again, for one that was made of no files.
    """

    name: str
    rows: int
    rows_digest: str
    segments: tuple[Segment, ...]
    recipe: Mapping[str, Any]
    parent: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)
    rejects: Mapping[str, int] = field(default_factory=dict)
    restored: str = ""
