from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.evaluation import Evaluation
from kedge.core.generation import Likelihood
from kedge.evaluate.choose import choose
from kedge.evaluate.report import read_cases, read_evaluation, read_verdict, write_evaluation
from kedge.evaluate.run import Task, evaluate
from kedge.evaluate.scorers.likelihood import perplexity
from kedge.evaluate.scorers.text import exact_match
from kedge.evaluate.slices import slicer
from kedge.evaluate.types import MODEL, Answer, Scorer
from kedge.statistics.intervals import wilson
from kedge.testing.blobs import MemoryBlobs


def make_rows(count: int) -> list[Row]:
    return [
        Row(id=f"{i:04d}", input=f"in {i}", target=f"out {i}", source="s", tags={"args": i % 3}) for i in range(count)
    ]


def make_task(rows: Sequence[Row], *scorers: Scorer) -> Task:
    return Task(bundle="b", dataset="d", rows=rows, scorers=scorers or (exact_match(),), slicer=slicer(rows, ["args"]))


def right(rows: Sequence[Row], every: int = 1) -> list[Answer]:
    return [Answer(text=row.target if i % every == 0 else "wrong") for i, row in enumerate(rows)]


def test_every_answerer_is_scored_whole_and_by_slice() -> None:
    rows = make_rows(30)

    report = evaluate(make_task(rows), {MODEL: right(rows), "guess": right(rows, every=2)})

    whole = report.evaluation.find("exact_match", answerer="guess")
    assert whole is not None
    assert whole.interval.value == 0.5
    assert whole.interval.low == pytest.approx(wilson(15, 30).low, abs=1e-9)
    assert [r.slice for r in report.evaluation.results if r.answerer == MODEL] == [
        "", "args=0", "args=1", "args=2", "args>=2",
    ]  # fmt: skip
    assert report.evaluation.baselines == ("guess",)
    assert len(report.cases) == 60


def test_the_model_comes_first_whoever_was_asked_first() -> None:
    rows = make_rows(3)

    report = evaluate(make_task(rows), {"guess": right(rows), MODEL: right(rows)})

    assert report.cases[0].answerer == MODEL


def test_perplexity_weighs_each_token_alike_and_leaves_baselines_out() -> None:
    rows = make_rows(30)
    said = [
        Answer(text="", likelihood=Likelihood(logprob=-math.log(2) * (i + 1), tokens=i + 1)) for i in range(len(rows))
    ]

    report = evaluate(make_task(rows, perplexity()), {MODEL: said, "guess": right(rows)})

    found = report.evaluation.find("perplexity")
    assert found is not None
    assert found.interval.value == pytest.approx(2.0, abs=1e-5)
    assert report.evaluation.find("perplexity", answerer="guess") is None


def test_the_same_answers_give_the_same_digest() -> None:
    rows = make_rows(40)
    digests = {
        write_evaluation(MemoryBlobs(), evaluate(make_task(rows, exact_match()), {MODEL: right(rows, every=3)})).digest
        for _ in range(2)
    }

    assert len(digests) == 1


def test_a_stored_evaluation_reads_back_as_it_was() -> None:
    blobs, rows = MemoryBlobs(), make_rows(10)
    report = evaluate(make_task(rows), {MODEL: right(rows)})

    artifact = write_evaluation(blobs, report)

    assert read_evaluation(blobs, artifact.digest) == report.evaluation
    assert isinstance(read_evaluation(blobs, artifact.digest), Evaluation)
    assert read_cases(blobs, artifact.digest) == list(report.cases)
    with pytest.raises(Invalid, match="not a verdict"):
        read_verdict(blobs, artifact.digest)


def test_the_model_must_answer_and_everybody_every_row() -> None:
    rows = make_rows(3)

    with pytest.raises(Invalid):
        evaluate(make_task(rows), {"guess": right(rows)})
    with pytest.raises(Invalid):
        evaluate(make_task(rows), {MODEL: right(rows)[:2]})


def test_a_metric_twice_is_a_mistake_of_the_user() -> None:
    rows = make_rows(3)

    with pytest.raises(Invalid, match="twice"):
        evaluate(make_task(rows, exact_match(), exact_match()), {MODEL: right(rows)})


def test_cases_are_chosen_by_row_id_and_a_larger_choice_holds_the_smaller() -> None:
    rows = make_rows(50)

    few, many = choose(rows, 10), choose(reversed(rows), 20)

    assert [row.id for row in few] == [f"{i:04d}" for i in range(10)]
    assert many[:10] == few


def test_rows_without_a_target_are_no_cases() -> None:
    with pytest.raises(Invalid, match="no row with a target"):
        choose([Row(id="r", input="text", target="", source="s")], 5)
