"""Curves drawn with block characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import isfinite

import click

from kedge.core.run import Point

BLOCKS = " ▁▂▃▄▅▆▇█"
_AXIS = 9  # columns that the numbers at the left take


def draw_curve(name: str, points: Sequence[Point], *, width: int = 48, height: int = 6) -> list[str]:
    """A curve as lines of text: values upwards, steps to the right, each column the mean of its steps."""
    columns = _columns(points, width)
    known = [value for value in columns if value is not None]
    if not known:
        return [click.style(name, bold=True), "  not a number at any step"]
    low, high = min(known), max(known)
    heights = [None if value is None else _level(value, low, high, height) for value in columns]
    wide = max(1, min(6, width // len(columns)))
    lines = [click.style(f"{name}  {points[-1].value:.4g}", bold=True)]
    for row in range(height, 0, -1):
        label = f"{high:.4g}" if row == height else f"{low:.4g}" if row == 1 else ""
        bars = "".join(_cell(level, row) * wide for level in heights)
        lines.append(f"{label:>{_AXIS}} ┤{click.style(bars, fg='cyan')}")
    first, last = points[0].step, points[-1].step
    steps = f"{first}{str(last).rjust(len(columns) * wide - len(str(first)))}"
    lines.append(" " * (_AXIS + 2) + click.style(steps, dim=True))
    return lines


def beside(charts: Sequence[list[str]], *, width: int) -> str:
    """Charts two in a row where the screen is wide enough."""
    across = 2 if width >= 2 * (max((_width(line) for chart in charts for line in chart), default=0) + 3) else 1
    blocks = []
    for start in range(0, len(charts), across):
        row = charts[start : start + across]
        column = max(_width(line) for line in row[0]) + 3
        lines = ["".join(_padded(cell, column) for cell in cells) for cells in zip_longest(*row, fillvalue="")]
        blocks.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(blocks)


def _columns(points: Sequence[Point], width: int) -> list[float | None]:
    """The mean of each column's values; None where no number falls."""
    first, last = points[0].step, points[-1].step
    count = min(width, len({point.step for point in points}))
    sums: list[list[float]] = [[] for _ in range(count)]
    for point in points:
        if isfinite(point.value):
            at = (point.step - first) * (count - 1) // (last - first) if last > first else 0
            sums[at].append(point.value)
    return [sum(values) / len(values) if values else None for values in sums]


def _level(value: float, low: float, high: float, height: int) -> int:
    """Eighths of a row, at least one, so that the lowest value is seen too."""
    return max(1, round((value - low) / (high - low) * height * 8)) if high > low else height * 4


def _cell(level: int | None, row: int) -> str:
    return "·" if level is None and row == 1 else BLOCKS[min(8, max(0, (level or 0) - (row - 1) * 8))]


def _width(line: str) -> int:
    return len(click.unstyle(line))


def _padded(line: str, width: int) -> str:
    return line + " " * max(0, width - _width(line))
