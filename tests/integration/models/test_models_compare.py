"""`kedge compare` on files, outside any project."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kedge.cli.main import main

Kedge = Callable[..., tuple[int, Any]]


@pytest.fixture
def kedge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kedge:
    monkeypatch.chdir(tmp_path)

    def run(*words: str, text: bool = False) -> tuple[int, Any]:
        code = main([*words] if text else [*words, "--json"])
        out, err = capsys.readouterr()
        return code, out + err if text else json.loads(out)

    return run


def write(name: str, rows: Iterable[dict[str, Any]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def bits(name: str, right: int, n: int) -> None:
    write(name, ({"id": f"c{i}", "score": int(i < right)} for i in range(n)))


def test_the_contract_of_the_answer(kedge: Kedge) -> None:
    bits("a.jsonl", 50, 100)
    bits("b.jsonl", 80, 100)

    code, found = kedge("compare", "a.jsonl", "b.jsonl")

    assert code == 0
    assert (found["verdict"], found["n"], found["needed"]) == ("pass", 100, 0)
    assert found["difference"] == pytest.approx(0.3)
    assert found["interval"][0] < 0.3 < found["interval"][1]
    assert 0 < found["p"] < 1e-6


@pytest.mark.parametrize(("right", "verdict", "code"), [(80, "pass", 0), (20, "fail", 3), (51, "undecided", 3)])
def test_only_a_gate_turns_the_verdict_into_an_exit_code(kedge: Kedge, right: int, verdict: str, code: int) -> None:
    bits("a.jsonl", 50, 100)
    bits("b.jsonl", right, 100)

    assert kedge("compare", "a.jsonl", "b.jsonl")[0] == 0
    answered, found = kedge("compare", "a.jsonl", "b.jsonl", "--gate")
    assert (answered, found["verdict"]) == (code, verdict)


@pytest.mark.parametrize("score", [0, 1, 0.5, -3.25])
def test_all_equal_scores_are_undecided_with_room_for_what_was_not_seen(kedge: Kedge, score: float) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write(name, ({"id": str(i), "score": score} for i in range(30)))

    _, found = kedge("compare", "a.jsonl", "b.jsonl")

    assert (found["verdict"], found["difference"], found["p"]) == ("undecided", 0.0, 1.0)
    assert found["interval"][0] <= 0.0 <= found["interval"][1]
    assert found["needed"] > 30


def test_one_case_decides_nothing(kedge: Kedge) -> None:
    write("a.jsonl", [{"id": "x", "score": 0.1}])
    write("b.jsonl", [{"id": "x", "score": 0.9}])

    _, found = kedge("compare", "a.jsonl", "b.jsonl")

    assert (found["verdict"], found["n"]) == ("undecided", 1)
    assert found["interval"][0] < 0 < found["interval"][1]


def test_groups_may_stand_in_either_file(kedge: Kedge) -> None:
    random = np.random.default_rng(1)
    write("a.jsonl", ({"id": i, "score": random.random(), "group": i % 4} for i in range(100)))
    write("b.jsonl", ({"id": i, "score": random.random() + 0.4} for i in range(100)))

    _, found = kedge("compare", "a.jsonl", "b.jsonl")

    assert (found["groups"], found["test"], found["verdict"]) == (4, "sign flips of groups", "undecided")


def test_very_many_cases_are_compared(kedge: Kedge) -> None:
    random = np.random.default_rng(2)
    for name, shift in (("a.jsonl", 0.0), ("b.jsonl", 0.02)):
        scores = (random.random(20_000) + shift).tolist()
        Path(name).write_text("".join(f'{{"id":{i},"score":{score}}}\n' for i, score in enumerate(scores)))

    _, found = kedge("compare", "a.jsonl", "b.jsonl")

    assert (found["verdict"], found["n"]) == ("pass", 20_000)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "c1"}', "'score' is not a number"),
        ('{"id": "c1", "score": "0.5"}', "'score' is not a number"),
        ('{"id": "c1", "score": 1e999}', ""),
        ('{"score": 1}', "no id"),
        ("[1, 2]", "no id"),
        ("{", "not JSON"),
        ('{"id": "c0", "score": 1}', "comes twice"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(kedge: Kedge, line: str, said: str) -> None:
    bits("a.jsonl", 1, 2)
    Path("b.jsonl").write_text('{"id": "c0", "score": 1}\n\n' + line + "\n")

    code, found = kedge("compare", "a.jsonl", "b.jsonl")

    assert code == 2
    assert found["error"]["message"].startswith("b.jsonl:3")
    assert said in found["error"]["message"]


def test_several_metrics_are_corrected_together(kedge: Kedge) -> None:
    random = np.random.default_rng(3)
    for name, shift in (("a.jsonl", 0.0), ("b.jsonl", 0.2)):
        rows = ({"id": i, "f1": random.random() + shift, "cost": random.random() - shift} for i in range(200))
        write(name, rows)

    words = ("--metric", "f1", "--metric", "cost:lower", "--margin", "cost=-0.05")
    _, found = kedge("compare", "a.jsonl", "b.jsonl", *words)

    assert found["verdict"] == "pass"
    assert [(m["metric"], m["verdict"], m["lower"], m["margin"]) for m in found["metrics"]] == [
        ("f1", "pass", False, 0.0),
        ("cost", "pass", True, -0.05),
    ]
    assert all(m["p_holm"] >= m["p"] for m in found["metrics"])
    assert found["difference"] == found["metrics"][0]["difference"]


@pytest.mark.parametrize("margin", ["much", "cost=0.1", "nan"])
def test_a_margin_that_makes_no_sense_is_refused(kedge: Kedge, margin: str) -> None:
    bits("a.jsonl", 1, 2)

    assert kedge("compare", "a.jsonl", "a.jsonl", "--margin", margin)[0] == 2


def test_the_power_line_comes_before_the_run(kedge: Kedge) -> None:
    bits("a.jsonl", 48, 60)

    _, found = kedge("compare", "a.jsonl", "--plan", "--see", "0.03")
    said = kedge("compare", "a.jsonl", "--plan", "--see", "0.03", text=True)[1]

    assert (found["have"], found["see"], found["guessed"]) == (60, 0.03, True)
    assert found["needed"] > 1000
    assert f"to see 3 points you need {found['needed']:,} cases, you have 60" in said


def test_the_power_line_says_how_often_so_many_cases_would_do(kedge: Kedge) -> None:
    bits("a.jsonl", 48, 60)

    needed = kedge("compare", "a.jsonl", "--plan", "--see", "0.1")[1]["needed"]
    found = kedge("compare", "a.jsonl", "--plan", "--see", "0.1", "--cases", str(needed))[1]

    assert found["power"] == pytest.approx(0.8, abs=0.02)


def test_without_b_it_asks_for_it(kedge: Kedge) -> None:
    bits("a.jsonl", 1, 2)

    assert kedge("compare", "a.jsonl")[1]["error"]["message"] == "what is to be compared with it?"
