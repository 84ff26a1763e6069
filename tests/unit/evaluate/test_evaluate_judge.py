"""Judges: by a rubric, of two answers in both orders, and asked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.run import Task, evaluate
from kedge.evaluate.scorers.judge import judge, pairwise
from kedge.evaluate.types import MODEL, Answer, Means, Report, Scorer
from kedge.testing.progress import RecordingProgress
from kedge.testing.scripted import Scripted


@pytest.fixture
def means(tmp_path: Path) -> Means:
    return Means(secret=lambda reference: f"<{reference}>", cache=tmp_path, progress=RecordingProgress())


def score(scorers: Sequence[Scorer], answers: Sequence[str], *others: str, **tags: str) -> Report:
    rows = [Row(id=f"{i}", input=f"ask {i}", target=f"right {i}", source="s", tags=tags) for i in range(len(answers))]
    task = Task(bundle="b", dataset="d", rows=rows, scorers=scorers, slicer=lambda row: ())
    said = {MODEL: [Answer(text=text) for text in answers]}
    return evaluate(task, said | ({"guess": [Answer(text=text) for text in others]} if others else {}))


def text_of(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def between(text: str, tag: str) -> str:
    return text.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0]


def test_a_judge_is_shown_rubric_question_reference_and_answer(server: Scripted, means: Means) -> None:
    def say(body: dict[str, Any]) -> str:
        shown = text_of(body)
        return f"Verdict: {'yes' if between(shown, 'answer') == between(shown, 'reference') else 'no'}"

    server.say = say
    made = judge(url=server.url, model="m", means=means, key="env:K", rubric="Be strict, {answer}.")

    report = score([made], ["right 0", "wrong", "right 2"], "right 0", "", "")

    assert [case.scores.get("judge") for case in report.cases] == [1.0, 0.0, 1.0, None, None, None]
    assert "Be strict, {answer}." in text_of(server.asked[0])
    assert set(server.keys) == {"Bearer <env:K>"}


def test_the_same_answer_is_judged_once(server: Scripted, means: Means) -> None:
    server.say = lambda body: "Verdict: yes"
    for extra in ([], ["new"]):
        score([judge(url=server.url, model="m", means=means)], ["a", "b", *extra])

    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("said", "points"),
    [
        ("Verdict: 5", 1.0),
        ("**Verdict:** 2", 0.25),
        ("first Verdict: 1, no, Verdict: 3", 0.5),
        ("Verdict: 9", None),
        ("?", None),
    ],
)
def test_points_become_a_share_and_what_is_no_verdict_no_score(
    server: Scripted, means: Means, said: str, points: float | None
) -> None:
    server.say = lambda body: said
    made = judge(url=server.url, model="m", means=means, options={"scale": 5, "name": "helpful"})

    assert score([made], ["a"]).cases[0].scores.get("helpful") == points


def prefer(choose: Callable[[str, str], str]) -> Callable[[dict[str, Any]], str]:
    def say(body: dict[str, Any]) -> str:
        shown = text_of(body)
        return f"Verdict: {choose(between(shown, 'answer_a'), between(shown, 'answer_b'))}"

    return say


def test_two_answers_are_compared_in_both_orders(server: Scripted, means: Means) -> None:
    server.say = prefer(lambda a, b: "A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie")
    made = pairwise(url=server.url, model="m", means=means, options={"against": "guess"})

    report = score(made, ["longest", "b", "same"], "short", "longer", "four")

    assert [case.scores.get("pairwise") for case in report.cases[:3]] == [1.0, 0.0, 0.5]
    assert len(server.asked) == 6


def test_a_judge_that_prefers_a_place_makes_ties_and_is_found_out(server: Scripted, means: Means) -> None:
    server.say = prefer(lambda a, b: "A")
    made = pairwise(url=server.url, model="m", means=means, options={"against": "before"})

    report = score(made, ["x", "y"], before="z")

    assert [case.scores for case in report.cases] == [{"pairwise": 0.5, "pairwise_steady": 0.0}] * 2


def test_an_opponent_that_is_not_there_is_named(server: Scripted, means: Means) -> None:
    made = pairwise(url=server.url, model="m", means=means, options={"against": "gess"})

    with pytest.raises(Invalid) as caught:
        score(made, ["x"], "y")

    assert "'guess'" in caught.value.hint


@pytest.mark.parametrize("options", [{"colour": 1}, {"scale": "5"}, {"scale": 1}])
def test_options_that_a_judge_does_not_have_are_refused(means: Means, options: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        judge(url="http://127.0.0.1:1", model="m", means=means, options=options)
