"""Which slices a case belongs to, by the columns of its row."""

from __future__ import annotations

import operator
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import Any

from kedge.core.catalogue import nearest
from kedge.core.dataset import Row
from kedge.core.errors import Invalid

Slicer = Callable[[Row], tuple[str, ...]]

_COMPARISON = re.compile(r"(?P<tag>\w+)\s*(?P<sign>>=|<=|!=|=|>|<)\s*(?P<value>.+)")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "!=": operator.ne,
}
_COUNTS = 4  # counts from here on are one slice
_SMALL = 20  # whole numbers up to here are counts
_VALUES = 20  # so many different texts are slices of their own


def slicer(rows: Sequence[Row], wanted: Sequence[str]) -> Slicer:
    """A function from a row to its slices. `wanted` are columns (`args`) or comparisons (`args>=3`).

    Truth values become `async=true`; counts become `args=0` to `args=3`, `args=4+` and besides `args>=2`; other
    numbers their quarter; of texts the 20 most frequent stand alone. `Invalid` for a column that no row has.
    """
    known = sorted({tag for row in rows for tag in row.tags})
    parts = [_part(rows, each, known) for each in wanted]

    def slices(row: Row) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in parts for name in part(row)))

    return slices


def _part(rows: Sequence[Row], wanted: str, known: Sequence[str]) -> Slicer:
    match = _COMPARISON.fullmatch(wanted)
    tag = match["tag"] if match else wanted
    if tag not in known:
        raise Invalid(f"no row has a column {tag!r} to slice by", address=tag, hint=nearest(tag, known))
    if match:
        return _compare(match["tag"], match["sign"], match["value"].strip())
    values = [row.tags[tag] for row in rows if row.tags.get(tag) is not None]
    if all(isinstance(value, bool) for value in values):
        return _by(tag, lambda value: (f"{tag}={str(value).lower()}",))
    if all(isinstance(value, int) and value >= 0 for value in values) and _typical(values) <= _SMALL:
        return _by(tag, lambda value: _count(tag, value))
    if all(isinstance(value, int | float) for value in values):
        return _by(tag, _quarters(tag, values))
    return _by(tag, _texts(tag, [str(value) for value in values]))


def _by(tag: str, name: Callable[[Any], tuple[str, ...]]) -> Slicer:
    return lambda row: () if row.tags.get(tag) is None else name(row.tags[tag])


def _count(tag: str, value: int) -> tuple[str, ...]:
    alone = f"{tag}={value}" if value < _COUNTS else f"{tag}={_COUNTS}+"
    return (alone, f"{tag}>=2") if value >= 2 else (alone,)


def _typical(values: Sequence[float]) -> float:
    """The value that 19 of 20 do not pass."""
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _quarters(tag: str, values: Sequence[float]) -> Callable[[Any], tuple[str, ...]]:
    edges = sorted(set(quantiles(values, n=4, method="inclusive"))) if len(values) > 1 else []
    names = [f"{tag}<={edge:g}" if i == 0 else f"{edges[i - 1]:g}<{tag}<={edge:g}" for i, edge in enumerate(edges)]
    names.append(f"{tag}>{edges[-1]:g}" if edges else tag)
    return lambda value: (names[bisect_left(edges, value)],)


def _texts(tag: str, values: Sequence[str]) -> Callable[[Any], tuple[str, ...]]:
    counts = Counter(values)
    alone = set(sorted(counts, key=lambda value: (-counts[value], value))[:_VALUES])
    return lambda value: (f"{tag}={value}" if str(value) in alone else f"{tag}=other",)


def _compare(tag: str, sign: str, text: str) -> Slicer:
    holds = _SIGNS[sign]

    def slices(row: Row) -> tuple[str, ...]:
        value = row.tags.get(tag)
        if value is None:
            return ()
        return (f"{tag}{sign}{text}",) if holds(*_alike(value, text, tag)) else ()

    return slices


def _alike(value: Any, text: str, tag: str) -> tuple[Any, Any]:
    """A row's value and the text it is compared with, as two things that can be compared."""
    if isinstance(value, bool):
        return str(value).lower(), text.lower()
    if isinstance(value, int | float):
        try:
            return value, float(text)
        except ValueError as error:
            raise Invalid(f"{tag} is a number, and {text!r} is not", address=tag) from error
    return str(value), text
