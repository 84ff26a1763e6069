"""Spells texts one way and leaves out what is empty or too long."""

from __future__ import annotations

from dataclasses import replace

from kedge.core.dataset import Reject, Row
from kedge.data.rows import drop
from kedge.data.types import Cleaned, NormaliseOptions
from kedge.text.unicode import tidy


def normalise(cleaned: Cleaned, options: NormaliseOptions) -> Cleaned:
    """The rows with tidy texts. A row keeps its id: it is that of what the source said."""
    rows: list[Row] = []
    rejects = list(cleaned.rejects)
    for row in cleaned.rows:
        result = _tidied(row, options)
        if isinstance(result, Row):
            rows.append(result)
        else:
            rejects.append(result)
    return Cleaned(rows=rows, rejects=rejects)


def _tidied(row: Row, options: NormaliseOptions) -> Row | Reject:
    changed = replace(row, input=tidy(row.input, form=options.unicode), target=tidy(row.target, form=options.unicode))
    if not changed.input.strip():
        return drop(row, "empty", "nothing is left of the input")
    size = len(changed.input) + len(changed.target)
    if size < options.min_chars:
        return drop(row, "too-short", f"{size} characters; the least is {options.min_chars}")
    if size > options.max_chars:
        return drop(row, "too-long", f"{size} characters; the limit is {options.max_chars}")
    return changed
