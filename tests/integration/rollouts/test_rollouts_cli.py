"""The commands: rollouts, feedback, replays and pins as a person runs them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from kedge.cli.main import main
from kedge.core.trace import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one object."""
        return json.loads(self.out)


@pytest.fixture
def run(stage: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command on the project."""

    def call(*words: str) -> Said:
        code = main(["-C", str(stage.project.root), *words])
        said = capsys.readouterr()
        return Said(code=code, out=said.out, err=said.err)

    return call


def test_a_rollout_from_the_command_line(stage: Any, run: Any) -> None:
    second = stage.register("second")
    started = run("rollout", "start", "words", second.address, "--json").json
    assert (started["state"], started["version"], started["step"]) == ("running", 2, 0)
    again = run("rollout", "start", "words", second.address)
    assert again.code == 5
    assert "kedge rollout abort words" in again.err
    assert "paused" in run("rollout", "pause", "words", "--reason", "lunch").out
    shown = run("rollout", "status", "words").out
    assert "words@2 to words: paused at step 1 of 3, shadow 100%" in shown
    assert "lunch" in shown
    assert "same as words@1 0 times of 0" in run("rollout", "diffs").out
    back = run("rollback", "words")
    assert "answers with words@1 alone" in back.out
    told = run("rollout", "history", "words", "--json").json
    assert [event["action"] for event in told["rollouts"][0]["events"]] == ["started", "paused", "aborted"]
    assert [release["share"] for release in told["releases"]] == [1.0, 1.0, 0.0]
    then = run("rollout", "history", "words", "--at", "2026-01-01 10:00")
    assert then.code == 4
    assert run("audit", "verify", "--json").json["records"] > 0


def test_an_answer_is_rated_replayed_and_pinned(stage: Any, run: Any) -> None:
    first = stage.project.ledger.models.version("words", 1)
    [[trace]] = stage.traffic(stage.part(first, "stable", ["say it"]))
    receipt = Receipt(trace=trace.id, bundle=trace.bundle).sealed(stage.project.secret)
    assert run("feedback", receipt, "--value", "0.5", "--comment", "so so").out.startswith("rating 0.5 for trace")
    assert "rating 0.5 by user:" in run("trace", receipt).out
    other = stage.register("second", prefix="well ")
    assert run("replay", receipt, "--json").json["identical"]
    shown = run("replay", receipt, "--on", other.address).out
    assert "different" in shown
    assert "differs from character 0 on" in shown
    pinned = run("pin", receipt, "--to", "set", "--expect", "it").out
    assert "regressions/set.jsonl holds 1 case" in pinned
    assert "[stages.evaluate-set]" in pinned
    assert run("pin", receipt, "--to", "set", "--expect", "it", "--json").json["added"] is False
    assert run("feedback", receipt, "--value", "2").code == 2
    assert run("replay", "rcpt_none").code == 2
