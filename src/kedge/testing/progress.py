"""A progress bar that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class RecordedTask:
    """One task as it was reported: its label, its size, what is done of it, and its facts in order."""

    label: str
    total: int | None
    done: int = 0
    facts: list[dict[str, Any]] = field(default_factory=list)


class RecordingProgress:
    """A Progress that keeps every task; what comes before the first `start` belongs to a task without a label."""

    def __init__(self) -> None:
        self.tasks: list[RecordedTask] = []

    def start(self, total: int | None, label: str) -> None:
        """Begin the next task."""
        self.tasks.append(RecordedTask(label=label, total=total))

    def advance(self, n: int = 1) -> None:
        """Count units of the current task."""
        self._current().done += n

    def note(self, **facts: Any) -> None:
        """Keep facts with the current task."""
        self._current().facts.append(facts)

    @property
    def labels(self) -> list[str]:
        """The labels of all tasks, in order."""
        return [task.label for task in self.tasks]

    @property
    def facts(self) -> dict[str, Any]:
        """The last value of every fact that was noted."""
        return {name: value for task in self.tasks for noted in task.facts for name, value in noted.items()}

    def _current(self) -> RecordedTask:
        if not self.tasks:
            self.start(None, "")
        return self.tasks[-1]
