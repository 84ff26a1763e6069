"""Joins the row groups or members of a file to spans that are worth a reading of their own."""

from __future__ import annotations

from collections.abc import Sequence

from kedge.data.types import Span


def pieces(sizes: Sequence[int], digest: str, size: int) -> list[Span]:
    """Spans of pieces in their order, each of at least `size` bytes but the last. `digest` is that of the whole file."""
    spans: list[Span] = []
    begin = at = first = 0
    for number, own in enumerate(sizes):
        at += own
        if at - begin >= size or number == len(sizes) - 1:
            spans.append(Span(begin=begin, end=at, digest=digest, pieces=(first, number + 1)))
            begin, first = at, number + 1
    return spans
