"""Progress on stderr: live bars on a terminal, plain lines elsewhere.

A pipeline tells where it stands with `note(stage=..., state=...)`; everything noted until the next stage belongs to it.
"""

from __future__ import annotations

import importlib
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

import click

from kedge.core.ports import Progress, Silent

EVERY = 5.0  # seconds between two plain lines about one task
WORDS = {"skipped": "up to date", "succeeded": "done", "failed": "failed"}
COLOURS = {"skipped": "cyan", "succeeded": "green", "failed": "red"}


class Screen(Protocol):
    """Where tasks are drawn."""

    def begin(self, name: str, total: int | None) -> None:
        """A task starts, ending the one before."""
        ...

    def advance(self, n: int) -> None:
        """`n` more units of the current task are done."""
        ...

    def tell(self, facts: str) -> None:
        """Facts of the current task, replacing those shown."""
        ...

    def say(self, line: str) -> None:
        """A line that stays."""
        ...

    def end(self) -> None:
        """The current task is over."""
        ...

    def close(self) -> None:
        """Leave the screen as it is."""
        ...


class Lines:
    """A screen for files and pipes: a line when a task starts and every few seconds."""

    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._told = 0.0

    def begin(self, name: str, total: int | None) -> None:
        """Say that it starts."""
        self._name, self._total, self._done, self._told = name, total, 0, time.monotonic()
        self.say(f"{name} ({total})" if total else name)

    def advance(self, n: int) -> None:
        """Count."""
        self._done += n

    def tell(self, facts: str) -> None:
        """Say them if nothing was said for a while."""
        if self._name and time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            done = f"{self._done}/{self._total}" if self._total else str(self._done)
            self.say(f"{self._name} {done} {facts}".rstrip())

    def say(self, line: str) -> None:
        """One line."""
        click.echo(line, err=True)

    def end(self) -> None:
        """What is told next is about something else."""
        self._name = ""

    def close(self) -> None:
        """Nothing to leave."""


class Live:
    """A Progress that draws; nothing is loaded or shown until there is something to tell."""

    def __init__(self) -> None:
        self._screen: Screen = Lines()
        self._bars = False
        self._stage = ""
        self._facts: dict[str, Any] = {}
        self._skipped: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.close()

    def say(self, line: str) -> None:
        """A line that stays, above the bars."""
        self._tell_skipped()
        self._screen.say(line)

    def start(self, total: int | None, label: str) -> None:
        """Begin a task; on a terminal this is when the bars appear."""
        self._show_bars()
        self._facts.clear()
        self._screen.begin(f"{self._stage}: {label}" if self._stage else label, total)

    def advance(self, n: int = 1) -> None:
        """`n` units more are done."""
        self._screen.advance(n)
        self._screen.tell(written(self._facts))

    def note(self, **facts: Any) -> None:
        """Facts beside the bar; `stage` and `state` (with `why`, `seconds`) say where a pipeline stands."""
        if "stage" in facts:
            self._turn(**facts)
            return
        self._facts |= facts
        self._screen.tell(written(self._facts))

    def _turn(self, *, stage: str, state: str, why: str = "", seconds: float = 0.0, **_more: Any) -> None:
        self._screen.end()
        facts, self._facts = self._facts, {}
        self._stage = stage if state == "running" else ""
        if state == "skipped":
            self._skipped.append(stage)
            return
        self._tell_skipped()
        told = f"  {written(facts)}" if state == "succeeded" and facts else ""
        took = f" in {span(seconds)}" if seconds else ""
        self._screen.say(f"{stage}: {_coloured(state)}{took}{f' ({why})' if why else ''}{told}")
        if state == "running" and self._show_bars():
            self._screen.begin(f"{stage}: starting", None)

    def _show_bars(self) -> bool:
        """Whether there are bars: on a terminal, from the first time there is something to draw."""
        if not self._bars and sys.stderr.isatty():
            self._screen = importlib.import_module("kedge.cli.bars").Bars()
            self._bars = True
        return self._bars

    def _tell_skipped(self) -> None:
        """Stages that need nothing share a line, and when nothing else happens there is nothing to say of them."""
        if self._skipped:
            self._screen.say(f"{', '.join(self._skipped)}: {_coloured('skipped')}")
            self._skipped = []


def _coloured(state: str) -> str:
    return click.style(WORDS.get(state, state), fg=COLOURS.get(state) or None)


def open_progress(*, quiet: bool) -> Live | Quiet:
    """A context manager that is a Progress; silent when the caller wants machine-readable output."""
    return Quiet() if quiet else Live()


class Quiet(Silent):
    """Silent, in a `with`."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def span(seconds: float) -> str:
    """A duration for a person: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def written(facts: dict[str, Any]) -> str:
    """`loss 0.312  tokens/s 5,104`."""
    return "  ".join(f"{name.replace('_per_second', '/s').replace('_', ' ')} {_figure(v)}" for name, v in facts.items())


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
