"""Gates over pinned cases are in force beside the gate that a register stage waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kedge.app.regressions import readers
from kedge.app.verdicts import gates_in_force

LINE = """
[stages.data]
step = "dataset"
source = { name = "jsonl", path = "rows.jsonl" }
[stages.tokenizer]
step = "tokenizer"
[stages.train]
step = "train"
[stages.bundle]
step = "bundle"
[stages.evaluate]
step = "evaluate"
[stages.gate]
step = "gate"
rules = [{ metric = "exact_match", at_least = 0.5 }]
[stages.register]
step = "register"
model = "words"
"""
PINNED = """
[stages.sums]
step = "dataset"
source = { name = "jsonl", path = "regressions/sums.jsonl" }
split = { test = 0.0, validation = 0.0 }
[stages.evaluate-sums]
step = "evaluate"
inputs = { dataset = "sums"BUNDLE }
split = "train"
[stages.gate-sums]
step = "gate"
inputs = { evaluation = "evaluate-sums", dataset = "sums" }
rules = [{ metric = "exact_match", at_least = 0.9 }]

"""


def names(make_stage: Callable[..., Any], stages: str) -> list[str]:
    """The gates in force for the model `words`."""
    stage = make_stage({"[models]\n": f"{stages}[models]\n"}, promoted=False)
    return [gate.name for gate in gates_in_force(stage.project, "words")]


def test_a_gate_over_pinned_cases_is_in_force_beside_the_one_before_registering(make_stage: Callable[..., Any]) -> None:
    assert names(make_stage, LINE + "\n") == ["gate"]
    assert names(make_stage, LINE + PINNED.replace("BUNDLE", "")) == ["gate", "gate-sums"]


def test_a_gate_over_another_bundle_is_not(make_stage: Callable[..., Any]) -> None:
    other = '\n[stages.other]\nstep = "bundle"\n' + PINNED.replace("BUNDLE", ', bundle = "other"')
    assert names(make_stage, LINE + other) == ["gate"]
    nearest = '\n[stages.other]\nstep = "bundle"\n' + PINNED.replace("BUNDLE", "")
    assert names(make_stage, LINE + nearest) == ["gate"]


def test_the_stages_that_read_a_set_are_found(make_stage: Callable[..., Any]) -> None:
    stages = LINE + PINNED.replace("BUNDLE", "")
    stage = make_stage({"[models]\n": f"{stages}[models]\n"}, promoted=False)
    assert readers(stage.project, "regressions/sums.jsonl") == ("sums", "evaluate-sums", "gate-sums")
    assert readers(stage.project, "regressions/others.jsonl") == ()
