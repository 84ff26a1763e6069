"""Questions: a task's own words, examples that give nothing away, and changed inputs."""

from __future__ import annotations

import pytest

from kedge.core.bundle import Bundle
from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.perturbations import case, inject, paraphrase, truncate, typos
from kedge.evaluate.pose import Known, change, choose_examples, pose, put_examples, put_turns
from kedge.evaluate.run import Task, evaluate
from kedge.evaluate.scorers.text import exact_match
from kedge.evaluate.types import MODEL, Answer

TEXT = "What is the kind of small anchor that ships carry? Please write its name."


def make_rows(count: int, *, first: int = 0) -> list[Row]:
    return [
        Row(id=f"{i:04d}", input=f"in {i}", target=f"out {i}", source="s", tags={"module": f"m{i % 5}", "n": i})
        for i in range(first, first + count)
    ]


def make_known(rows: list[Row]) -> list[Known]:
    return [Known(row=row, cluster=f"c{int(row.id) % 7}") for row in rows]


def test_a_task_puts_columns_into_its_question_and_leaves_other_braces() -> None:
    (question,) = pose(make_rows(1), 'In {module}: {input}? {"a": 1} {}')

    assert question.input == 'In m0: in 0? {"a": 1} {}'


def test_a_column_that_a_row_lacks_is_named() -> None:
    with pytest.raises(Invalid, match="colour"):
        pose(make_rows(1), "{colour}")


def test_what_a_row_says_is_not_read_as_a_template() -> None:
    row = Row(id="r", input="{module}", target="", source="s", tags={"module": "secret"})

    assert pose([row])[0].input == "{module}"


def test_examples_are_never_of_the_cases_cluster_group_or_input() -> None:
    rows, known = make_rows(40, first=1000), make_known(make_rows(200))
    known.append(Known(row=Row(id="9999", input="in 1000", target="t", source="s"), cluster="c-twin"))

    chosen = choose_examples(rows, known, shots=5, cluster=lambda row: f"c{int(row.id) % 7}", apart=("module",), seed=1)

    for row, examples in zip(rows, chosen, strict=True):
        assert len({example.id for example in examples}) == 5
        others = [example for example in examples if example.id != "9999"]
        assert all(int(example.id) % 7 != int(row.id) % 7 for example in others)
        assert all(example.tags["module"] != row.tags["module"] for example in others)
        assert all(example.input != row.input for example in examples)
    again = choose_examples(
        rows, known[::-1], shots=5, cluster=lambda row: f"c{int(row.id) % 7}", apart=("module",), seed=1
    )
    assert again == chosen


def test_too_few_training_rows_are_said() -> None:
    with pytest.raises(Invalid, match="3 training rows"):
        choose_examples(make_rows(1, first=50), make_known(make_rows(3)), shots=4, cluster=lambda row: "other")


def test_examples_stand_before_the_question_as_the_bundle_puts_rows() -> None:
    questions = pose(make_rows(1))
    shown = [[("a", "1"), ("b", "2")]]

    (posed,) = put_examples(questions, shown, Bundle(model="m", prompt="{input} ->"))
    (turns,) = put_turns(questions, shown)

    assert posed.prompt == "a ->1\n\nb ->2\n\nin 0 ->"
    assert [message["content"] for message in turns.messages or ()] == ["a", "1", "b", "2", "in 0"]


@pytest.mark.parametrize(
    ("perturbation", "check"),
    [
        (typos(share=0.9), lambda text: text != TEXT and len(text.split()) == len(TEXT.split())),
        (case(to="upper"), str.isupper),
        (case(to="random"), lambda text: text.lower() == TEXT.lower() and text not in (TEXT, TEXT.lower())),
        (paraphrase(), lambda text: text.startswith("What's the kind of little") and "Kindly compose" in text),
        (paraphrase(rules={r"(\w+) anchor": r"anchor \1"}), lambda text: "anchor small" in text),
        (truncate(share=0.5), lambda text: text == TEXT[: len(TEXT) - len(TEXT) // 2]),
        (truncate(share=0.5, side="start"), TEXT.endswith),
        (inject(), lambda text: text.startswith(TEXT) and "HACKED" in text),
    ],
)
def test_changes_do_what_they_say_and_the_same_each_time(perturbation: object, check: object) -> None:
    changed = perturbation(TEXT, "seed 1")  # type: ignore[operator]  # a Perturbation

    assert check(changed)  # type: ignore[operator]  # a predicate
    assert perturbation(TEXT, "seed 1") == changed  # type: ignore[operator]  # a Perturbation


@pytest.mark.parametrize(
    "make",
    [lambda: typos(share=0.0), lambda: case(to="title"), lambda: truncate(side="middle"), lambda: inject(where="x")],
)
def test_a_change_that_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(Invalid):
        make()  # type: ignore[operator]  # a maker


def test_what_a_change_does_is_a_paired_difference_of_the_model_and_no_baseline() -> None:
    rows = make_rows(40)
    clean = [Answer(text=row.target) for row in rows]
    worse = [Answer(text=row.target if i % 4 else "?") for i, row in enumerate(rows)]
    task = Task(bundle="b", dataset="d", rows=rows, scorers=[exact_match()], slicer=lambda row: ())

    report = evaluate(task, {MODEL: clean, "guess": worse, f"{MODEL}~typos": worse}).evaluation

    changed = report.find("exact_match~typos")
    assert changed is not None
    assert changed.interval.value == pytest.approx(-0.25)
    assert changed.interval.high < 0
    assert report.baselines == ("guess",)
    assert report.find("exact_match", answerer="model~typos") is not None


def test_other_seeds_change_other_words() -> None:
    questions = pose([Row(id=str(i), input=TEXT, target="", source="s") for i in range(5)])

    changed = {question.input for seed in "ab" for question in change(questions, typos(share=0.5), seed=seed)}

    assert len(changed) == 10
