"""Asking: nothing is asked twice, and whoever is killed goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kedge.core.dataset import Row
from kedge.evaluate.answer import AT_ONCE, Kept, answer
from kedge.evaluate.types import Answer, Question
from kedge.testing.progress import RecordingProgress


def make_questions(count: int, *, target: str = "t") -> list[Question]:
    rows = [Row(id=f"{i:04d}", input=f"in {i}", target=target, source="s") for i in range(count)]
    return [Question(row=row, input=row.input) for row in rows]


class Asked:
    """Answers with the input, and dies when told to."""

    def __init__(self, dies_at: int = 10**9) -> None:
        self.groups: list[int] = []
        self._dies_at = dies_at

    def __call__(self, questions: Sequence[Question]) -> list[Answer]:
        if len(self.groups) == self._dies_at:
            raise KeyboardInterrupt
        self.groups.append(len(questions))
        return [Answer(text=question.input or "") for question in questions]


def test_answers_go_on_where_they_were_interrupted(tmp_path: Path) -> None:
    questions, file = make_questions(2 * AT_ONCE + 7), tmp_path / "work" / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        answer(questions, Asked(dies_at=1), kept=Kept(file), progress=RecordingProgress())
    with file.open("ab") as opened:
        opened.write(b'{"key": "torn')

    second = Asked()
    answers = answer(questions, second, kept=Kept(file), progress=RecordingProgress())

    assert second.groups == [AT_ONCE, 7]
    assert [each.text for each in answers] == [question.input for question in questions]
    assert answer(questions, Asked(dies_at=0), kept=Kept(file), progress=RecordingProgress()) == answers


def test_questions_that_are_answered_together_are_always_asked_in_the_same_groups(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "answers.jsonl")
    answer(make_questions(5), Asked(), kept=kept, progress=RecordingProgress(), at_once=4)

    more = Asked()
    answer(make_questions(7), more, kept=kept, progress=RecordingProgress(), at_once=4)

    assert more.groups == [3]


def test_questions_that_are_answered_alone_are_asked_once_whatever_stands_beside_them(tmp_path: Path) -> None:
    kept, questions = Kept(tmp_path / "answers.jsonl"), make_questions(7)
    answer(questions[:5], Asked(), kept=kept, progress=RecordingProgress(), together=False)

    more = Asked()
    answer(questions[::-1], more, kept=kept, progress=RecordingProgress(), at_once=1, together=False)

    assert more.groups == [1, 1]


def test_another_target_is_another_question_of_likelihood_and_not_of_text(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "answers.jsonl")
    for kind, expected in (("text", []), ("likelihood", [2])):
        answer(make_questions(2), Asked(), kept=kept, progress=RecordingProgress(), kind=kind)
        again = Asked()
        answer(make_questions(2, target="u"), again, kept=kept, progress=RecordingProgress(), kind=kind)
        assert again.groups == expected


def test_two_who_keep_answers_in_one_file_lose_none(tmp_path: Path) -> None:
    file, questions = tmp_path / "answers.jsonl", make_questions(4)
    first, second = Kept(file), Kept(file)
    first.get("")
    second.get("")
    answer(questions[:2], Asked(), kept=first, progress=RecordingProgress())
    answer(questions[2:], Asked(), kept=second, progress=RecordingProgress())

    never = Asked(dies_at=0)
    answer(questions[:2], never, kept=Kept(file), progress=RecordingProgress())
    answer(questions[2:], never, kept=Kept(file), progress=RecordingProgress())
    assert never.groups == []
