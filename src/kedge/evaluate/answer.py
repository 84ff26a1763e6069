"""Asks an answerer every question, some at a time, and keeps what it said: nothing is asked twice.

What is kept is found again by what was asked, so that an evaluation that was killed goes on where it stopped, and one
with another scorer asks nothing at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from kedge.core.hashing import digest_of
from kedge.core.ports import Progress
from kedge.evaluate.types import Answer, Question

AT_ONCE = 250

Ask = Callable[[Sequence[Question]], Sequence[Answer]]


class _Line(msgspec.Struct):
    """A line of the file."""

    key: str
    answer: Answer


class Kept:
    """Answers in a file of JSON Lines, by key. Several processes may add to it; a line that was torn counts for nothing."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Answer] | None = None

    def get(self, key: str) -> Answer | None:
        """What was answered, if it is known."""
        if self._known is None:
            self._known = dict(_read(self._file))
        return self._known.get(key)

    def put(self, answers: Sequence[tuple[str, Answer]]) -> None:
        """Add answers; they are durable when this returns."""
        self.get("")
        assert self._known is not None
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lines = b"".join(msgspec.json.encode(_Line(key, answer)) + b"\n" for key, answer in answers)
        with self._file.open("ab") as file:
            whole = file.tell() == 0 or _last_byte(self._file) == b"\n"
            file.write(lines if whole else b"\n" + lines)
            file.flush()
            os.fsync(file.fileno())
        self._known.update(answers)


def answer(
    questions: Sequence[Question],
    ask: Ask,
    *,
    kept: Kept,
    progress: Progress,
    kind: str = "text",
    at_once: int = AT_ONCE,
    together: bool = True,
) -> list[Answer]:
    """The answer to each question. `kind` tells several kinds of answers to one question apart.

    `together`: questions are answered in batches that might sway each other's last bits, so that they are always asked
    in the same groups, and going on gives the same answers as never having stopped.
    """
    keys = _keys(questions, kind, at_once if together else 0)
    missing = [place for place, key in enumerate(keys) if kept.get(key) is None]
    if missing:
        progress.start(len(questions), "answering")
        progress.advance(len(questions) - len(missing))
    for group in _groups(missing, at_once, together=together, total=len(questions)):
        said = list(ask([questions[place] for place in group]))
        assert len(said) == len(group)
        kept.put([(keys[place], one) for place, one in zip(group, said, strict=True)])
    answers = [kept.get(key) for key in keys]
    return [one for one in answers if one is not None]


def _groups(missing: Sequence[int], at_once: int, *, together: bool, total: int) -> Iterator[list[int]]:
    """What is asked at once: whole groups where something is missing, or any that are missing."""
    if not together:
        yield from (list(missing[start : start + at_once]) for start in range(0, len(missing), at_once))
        return
    for number in sorted({place // at_once for place in missing}):
        yield list(range(number * at_once, min((number + 1) * at_once, total)))


def _keys(questions: Sequence[Question], kind: str, group: int) -> list[str]:
    """The key of each answer: what was asked, and together with what."""
    alone = [digest_of([kind, _asked(question, kind)]) for question in questions]
    if not group:
        return alone
    keys: list[str] = []
    for start in range(0, len(alone), group):
        whole = digest_of(alone[start : start + group])
        keys += [digest_of([whole, place]) for place in range(len(alone[start : start + group]))]
    return keys


def _asked(question: Question, kind: str) -> list[object]:
    said = [dict(message) for message in question.messages] if question.messages else None
    return [question.input, question.prompt, said, "" if kind == "text" else question.row.target]


def _read(file: Path) -> Iterator[tuple[str, Answer]]:
    if not file.exists():
        return
    for line in file.read_bytes().splitlines():
        try:
            found = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError:
            continue  # whoever wrote it was killed in the middle
        yield found.key, found.answer


def _last_byte(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1)
