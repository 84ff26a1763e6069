"""Live bars on a terminal; loaded when the first task starts."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Bars:
    """One bar that follows the current task; lines that stay are printed above it."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[facts]}"),
            console=Console(file=sys.stderr),
            transient=True,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def begin(self, name: str, total: int | None) -> None:
        """A new bar in place of the one before."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total, facts="")

    def advance(self, n: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, n)

    def tell(self, facts: str) -> None:
        """Facts to the right of the bar."""
        if self._task is not None:
            self._progress.update(self._task, facts=facts)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._progress.console.print(Text.from_ansi(line))

    def end(self) -> None:
        """The bar goes until the next task starts."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()
