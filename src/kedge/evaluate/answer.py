"""Asks an answerer every case, some at a time, and keeps what it said for when the asking is interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from kedge.core.dataset import Row
from kedge.core.ports import Progress
from kedge.evaluate.types import Answer

AT_ONCE = 250

Ask = Callable[[Sequence[Row]], Sequence[Answer]]


def answer(rows: Sequence[Row], ask: Ask, *, kept: Path, progress: Progress) -> list[Answer]:
    """The answer to each row. `kept` is a file to go on from; the rows are always asked in the same groups, so that
    going on gives the same answers as never having stopped."""
    answers = _read(kept, rows)
    progress.start(len(rows), "answering")
    progress.advance(len(answers))
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"".join(_line(row, said) for row, said in zip(rows, answers, strict=False)))
    with kept.open("ab") as file:
        for start in range(len(answers), len(rows), AT_ONCE):
            group = rows[start : start + AT_ONCE]
            said = list(ask(group))
            assert len(said) == len(group)
            file.write(b"".join(_line(row, one) for row, one in zip(group, said, strict=True)))
            file.flush()
            os.fsync(file.fileno())
            answers += said
    return answers


class _Kept(msgspec.Struct):
    """A line of the file."""

    row: str
    answer: Answer


def _line(row: Row, answer: Answer) -> bytes:
    return msgspec.json.encode(_Kept(row.id, answer)) + b"\n"


def _read(kept: Path, rows: Sequence[Row]) -> list[Answer]:
    """Whole groups of answers to exactly these rows."""
    answers: list[Answer] = []
    if kept.exists():
        for line, row in zip(kept.read_bytes().splitlines(), rows, strict=False):
            try:
                found = msgspec.json.decode(line, type=_Kept)
            except msgspec.DecodeError:
                break  # the writer was killed in the middle of this line
            if found.row != row.id:
                break
            answers.append(found.answer)
    return answers if len(answers) == len(rows) else answers[: len(answers) // AT_ONCE * AT_ONCE]
