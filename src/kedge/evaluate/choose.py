"""Which rows become cases."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest

from kedge.core.dataset import Row
from kedge.core.errors import Invalid


def choose(rows: Iterable[Row], cases: int) -> list[Row]:
    """Up to `cases` rows with a target, chosen and put in order by their ids alone: the same for everybody, and a
    larger choice holds the smaller one. `Invalid` if there are none."""
    chosen = nsmallest(cases, (row for row in rows if row.target), key=lambda row: row.id)
    if not chosen:
        raise Invalid("there is no row with a target to evaluate on", hint="evaluate on a split that has rows")
    return chosen
