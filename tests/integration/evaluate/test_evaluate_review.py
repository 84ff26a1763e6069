"""People label cases; their labels are held against judges and become a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kedge.core.ledger import RunQuery
from kedge.testing.scripted import scripted


@pytest.fixture(scope="module")
def evaluated(line: Any, echo: str) -> Any:
    """An evaluation that a judge took part in, one who calls everything right that is not of kind a."""
    with scripted() as server:
        server.say = lambda body: f"Verdict: {'yes' if int(number(body)) % 5 else 'no'}"
        judge = f'{{name = "judge", url = "{server.url}", model = "m"}}'
        words = ("--scorer", "exact_match", "--scorer", judge, "--baseline", "most_common")
        return line.good("evaluate", echo, "--data", "cases", *words)


def number(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).split("<question>\nword")[1].split()[0]


def label_all(line: Any, queue: str, reviewer: str, word: Any) -> int:
    """Label what waits for a reviewer."""
    labelled = 0
    while (waiting := line.good("review", "next", queue, "--reviewer", reviewer))["id"]:
        assert "scores" not in waiting
        line.good("review", "label", waiting["id"], word(waiting), "--reviewer", reviewer, "--note", "seen")
        labelled += 1
    return labelled


def test_a_queue_is_labelled_held_against_the_judge_and_becomes_a_dataset(
    line: Any, evaluated: Any, tmp_path: Path
) -> None:
    queued = line.good("review", "queue", evaluated["digest"], "--name", "first", "--cases", "20")
    again = line.good("review", "queue", evaluated["digest"], "--name", "first", "--cases", "20")
    assert (queued["added"], again["added"], again["cases"]) == (20, 0, 20)

    def truly(waiting: dict[str, str]) -> str:
        return "right" if waiting["answer"] == waiting["target"] else "wrong"

    assert label_all(line, "first", "user:ada", truly) == 20
    assert label_all(line, "first", "user:grace", truly) == 20
    assert label_all(line, "first", "user:alan", lambda waiting: "right") == 20

    found = line.good("review", "agreement", "first", "--metric", "judge")
    by_pair = {(pair["first"], pair["second"]): pair for pair in found["pairs"]}
    assert by_pair["user:ada", "user:grace"]["kappa"]["value"] == 1.0
    assert by_pair["user:ada", "user:alan"]["kappa"]["value"] == 0.0
    assert -1.0 < found["fleiss"] < 1.0
    assert found["judge"]["cases"] == 20
    methods = {each["method"]: each for each in found["corrected"]}
    for corrected in methods.values():
        interval = corrected["corrected"]
        assert interval["low"] <= interval["value"] <= interval["high"]
        assert corrected["cases"] == evaluated["evaluation"]["cases"]
    assert "prediction-powered" in methods

    file = tmp_path / "labels.jsonl"
    assert line.good("review", "export", "first", str(file))["rows"] == 20
    made = line.good("data", "ingest", str(file), "--name", "labels", "--target", "label")
    assert made["rows"] == 20
    assert line.good("review", "list")[0]["reviewers"] == {"user:ada": 20, "user:alan": 20, "user:grace": 20}
    project = line.open()
    actions = [record.action for record in project.ledger.audit.records()]
    project.close()
    assert actions.count("review.label") == 60


def test_failed_and_disagreeing_cases_are_found(line: Any, evaluated: Any) -> None:
    failed = line.good("review", "queue", evaluated["digest"], "--name", "failed", "--why", "failed")
    other = line.good(
        "review", "queue", evaluated["digest"], "--name", "differ", "--why", "disagreeing", "--metric", "exact_match"
    )

    project = line.open()
    cases = {name: project.ledger.reviews.cases(name) for name in ("failed", "differ")}
    project.close()
    assert failed["cases"] == len(cases["failed"]) > 0
    assert all(case.answer != case.target for case in cases["failed"])
    assert other["cases"] == len(cases["differ"]) > 0


def test_what_cannot_be_labelled_is_said(line: Any, evaluated: Any) -> None:
    line.good("review", "queue", evaluated["digest"], "--cases", "3")
    for words, code in (
        (("label", "zzzz", "right"), 4),
        (("agreement", "nothing"), 4),
        (("export", "nothing", str(line.root / "x.jsonl")), 4),
        (("queue", evaluated["digest"], "--why", "failed", "--metric", "nope"), 2),
        (("queue", "ffffffffffff"), 4),
    ):
        assert line.call("review", *words)[0] == code, words
    assert line.good("review", "next", "nowhere")["id"] == ""
    project = line.open()
    assert project.ledger.runs.search(RunQuery(limit=1))
    project.close()
