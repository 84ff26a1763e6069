"""Draws rich renderables on stdout; loaded only when there is one to draw."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType

WIDE = 200


def paint(drawn: RenderableType) -> None:
    """Print to stdout: coloured and fitted on a terminal; plain, wide and never cut in a file or a pipe."""
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else WIDE, soft_wrap=not terminal, highlight=False)
    console.print(drawn)
