"""Version 2 is better, 3 is worse, 4 cannot be told: the history says so, and what was in force at any moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kedge.app.project import open_project
from kedge.cli.main import main
from kedge.testing.clock import FixedClock
from kedge.testing.judged import Yard, right

TOML = """
[project]
name = "sums"

[stages.gate]
step = "gate"
inputs = { evaluation = "evaluate", dataset = "data", bundle = "bundle" }
rules = [{ metric = "exact_match", at_least = "sums@production" }]

[stages.register]
step = "register"
model = "sums"
"""
START = datetime(2026, 3, 3, 9, tzinfo=UTC)
N = 200


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    (tmp_path / "kedge.toml").write_text(TOML)
    (tmp_path / "empty").mkdir()
    project = open_project(tmp_path, clock=FixedClock(START, tick=1.0), principal="user:ada")
    made = Yard(project=project, folder=tmp_path / "empty")
    made.set_gate()
    yield made
    project.close()


@pytest.fixture
def kedge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main(["-C", str(tmp_path), *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_the_history_reads_promoted_refused_and_undecided(yard: Yard, kedge: Any) -> None:
    yard.make_version("v1", right(100, N))
    assert kedge("promote", "sums@1")[0] == 0
    yard.make_version("v2", right(150, N))
    assert kedge("promote", "sums@2")[0] == 0
    yard.make_version("v3", right(100, N))
    assert kedge("promote", "sums@3")[0] == 3
    yard.make_version("v4", right(152, N))
    code, refused = kedge("promote", "sums@4")

    decisions = kedge("models", "history", "sums@production")[1]["decisions"]

    assert (code, refused["error"]["code"]) == (3, "refused")
    assert [(each["version"], each["what"]) for each in decisions] == [
        ("sums@1", "promoted"),
        ("sums@2", "promoted"),
        ("sums@3", "refused"),
        ("sums@4", "undecided"),
    ]
    assert decisions[2]["needed"] == 0
    assert decisions[3]["needed"] > N
    assert f"about {decisions[3]['needed']:,} would tell" in decisions[3]["why"]


def test_what_was_in_force_is_answered_for_any_moment(yard: Yard, kedge: Any) -> None:
    first = yard.make_version("v1", right(100, N))
    yard.make_version("v2", right(150, N))
    moves = [
        kedge("promote", "sums@1", "--override", "the first")[1],
        kedge("promote", "sums@2", "--override", "next")[1],
    ]
    between = datetime.fromisoformat(moves[0]["at"])

    (then,) = kedge("models", "history", "sums@production", "--at", between.isoformat())[1]["in_force"]
    (now,) = kedge("models", "history", "sums@production", "--at", "2999-01-01")[1]["in_force"]
    before = kedge("models", "history", "sums@production", "--at", "2026-03-03T08:59+00:00")[1]["in_force"]

    assert (then["version"], then["bundle"]) == ("sums@1", first.bundle)
    assert (now["version"], now["reason"]) == ("sums@2", "next")
    assert before == []


def test_a_time_that_is_none_is_refused(yard: Yard, kedge: Any) -> None:
    yard.make_version("v1", right(100, N))

    code, said = kedge("models", "history", "sums", "--at", "yesterday")

    assert (code, said["error"]["message"]) == (2, "not a time: 'yesterday'")
