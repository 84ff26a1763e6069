"""Applies rules of quality to counted rows: no text is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kedge.data.arrays import to_numpy
from kedge.data.quality.rules import RULES, judge
from kedge.data.quality.types import PREFIX, QualityOptions
from kedge.data.stage import StoredRows


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows that rules drop, ascending, with the reason and the counts that decided for each."""

    rows: NDArray[np.int64]
    reasons: Sequence[str]
    details: Sequence[str]


NOTHING = Judged(np.empty(0, dtype=np.int64), (), ())


def judge_rows(rows: StoredRows, options: QualityOptions) -> Judged:
    """What the rules drop of all rows, each by the first rule that does."""
    names = sorted(
        {name for each in options.rules for rule in RULES[each] for name in rule.reads} | {"chars", "newlines"}
    )
    at, found, reasons, details = 0, [], [], []
    if options.rules:
        for batch in rows.scan([PREFIX + name for name in names]):
            counts = {name: to_numpy(batch.column(PREFIX + name)).astype(np.int64) for name in names}
            for i, reason in enumerate(first_reasons(counts, options)):
                if reason:
                    found.append(at + i)
                    reasons.append(f"quality:{reason}")
                    details.append(_detail(counts, i, reason, options))
            at += batch.num_rows
    return Judged(np.array(found, dtype=np.int64), reasons, details)


def first_reasons(counts: Mapping[str, NDArray[np.int64]], options: QualityOptions) -> list[str]:
    """For each text the reason of the first set of rules that drops it, "" if none does."""
    every = [judge(counts, name, options) for name in options.rules]
    return [next(filter(None, each), "") for each in zip(*every, strict=True)]


def count_columns(table: pa.Table) -> dict[str, NDArray[np.int64]]:
    """The counts that a table of rows holds, by name."""
    names = [name for name in table.column_names if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): to_numpy(table.column(name)).astype(np.int64) for name in names}


def _detail(counts: Mapping[str, NDArray[np.int64]], at: int, reason: str, options: QualityOptions) -> str:
    for name in options.rules:
        for rule in RULES[name]:
            if rule.reason == reason:
                return f"{name}: " + ", ".join(f"{read} {counts[read][at]:,}" for read in rule.reads)
    return ""
