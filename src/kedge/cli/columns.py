"""A plain table of aligned columns, for results that should appear at once: nothing is loaded to draw it."""

from __future__ import annotations

from collections.abc import Sequence

import click


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their heads, two spaces apart; colours do not count as width."""
    widths = [max(len(click.unstyle(row[i])) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [_line(heads, widths, dim=True), *(_line(row, widths) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], *, dim: bool = False) -> str:
    padded = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(cells, widths, strict=True)]
    line = "  ".join(padded).rstrip()
    return click.style(line, dim=True) if dim else line
