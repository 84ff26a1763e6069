"""A live answer asked again, rated, and kept as a case that later versions are judged by."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from kedge.app import feedback, pins
from kedge.app.replay import replay
from kedge.app.trace import Walk, trace
from kedge.core.errors import Invalid, NotFound, Refused
from kedge.core.trace import Receipt, Trace
from kedge.store.traces.open import open_sink


def answered(stage: Any, version: Any, prompt: str, answer: str, **changes: Any) -> str:
    """The receipt of an answer that a gateway gave."""
    told = stage.traffic(stage.part(version, "stable", [answer], {"completion_tokens": 1}))[0][0]
    kept = replace(told, id=f"{int(told.id, 16) + 1000:032x}", prompt=prompt, **changes)
    sink = open_sink(stage.project.config.store.traces)
    sink.add(kept)
    sink.close()
    return Receipt(trace=kept.id, bundle=kept.bundle).sealed(stage.project.secret)


def first_of(stage: Any) -> Any:
    return stage.project.ledger.models.version("words", 1)


def test_the_same_bundle_gives_the_same_answer_again(stage: Any) -> None:
    receipt = answered(stage, first_of(stage), "say one two", "say one two")
    done = replay(stage.project, receipt)
    assert done.identical
    assert (done.on, done.bundle) == ("words@1", first_of(stage).bundle)
    kept: Trace = stage.project.traces.get(done.trace)
    assert (kept.role, kept.answer) == ("replay", "say one two")
    assert Receipt(trace=kept.parent, bundle=done.bundle).sealed(stage.project.secret) == receipt


def test_another_version_is_shown_where_it_differs(stage: Any) -> None:
    other = stage.register("second", prefix="well, ")
    receipt = answered(stage, first_of(stage), "one two", "one two")
    done = replay(stage.project, receipt, on=other.address)
    assert not done.identical
    assert (done.on, done.choices[0].after, done.choices[0].at) == ("words@2", "well, one two", 0)
    assert replay(stage.project, receipt, on=other.bundle).choices == done.choices


def test_messages_sampling_and_several_answers_are_asked_as_they_were(stage: Any) -> None:
    messages = json.dumps([{"role": "system", "content": "be brief"}, {"role": "user", "content": "one two three"}])
    detail = json.dumps({"sampling": {"temperature": 0.0, "max_tokens": 2, "seed": 7}})
    receipt = answered(stage, first_of(stage), messages, "say one", route="/v1/chat/completions", detail=detail)
    done = replay(stage.project, receipt)
    assert done.identical
    assert (done.sampling.max_tokens, done.sampling.seed, done.notes) == (2, 7, ())
    several = answered(stage, first_of(stage), '["a b", "c"]', '["a b", "a b", "c", "d"]')
    again = replay(stage.project, several)
    assert [choice.at for choice in again.choices] == [-1, -1, -1, 0]


def test_what_was_asked_beside_the_prompt_is_asked_again(stage: Any) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    able = json.dumps({"tools": [tool]})
    assert replay(stage.project, answered(stage, first_of(stage), "one", "one", detail=able)).identical
    unable = json.dumps({"penalties": {"frequency": 0.5, "bias": {"7": 1.0}}})
    (choice,) = replay(stage.project, answered(stage, first_of(stage), "one", "one", detail=unable)).choices
    assert "penalties" in choice.error


def test_a_replay_says_why_it_may_differ(stage: Any) -> None:
    detail = json.dumps({"sampling": {"temperature": 1.0}})
    receipt = answered(stage, first_of(stage), "one", "one", detail=detail)
    assert "by chance" in replay(stage.project, receipt).notes[0]


def test_what_cannot_be_replayed_says_so(stage: Any) -> None:
    with pytest.raises(Invalid, match="no prompt"):
        replay(stage.project, answered(stage, first_of(stage), "", ""))
    with pytest.raises(NotFound, match="no trace"):
        replay(stage.project, Receipt(trace="f" * 32, bundle=first_of(stage).bundle).sealed(stage.project.secret))
    with pytest.raises(Refused, match="not issued"):
        replay(stage.project, Receipt(trace="f" * 32, bundle=first_of(stage).bundle).sealed(b"another"))


def test_what_is_said_of_an_answer_is_shown_with_it(stage: Any) -> None:
    receipt = answered(stage, first_of(stage), "one", "one")
    said = feedback.give(stage.project, receipt, 0.25, comment="too short")
    assert (said.endpoint, said.bundle, said.name) == ("words", first_of(stage).bundle, "rating")
    walk = trace(stage.project, receipt)
    assert isinstance(walk, Walk)
    assert walk.feedback == (said,)
    with pytest.raises(Refused):
        feedback.give(stage.project, Receipt(trace="1" * 32, bundle=said.bundle).sealed(b"another"), 1.0)
    lost = feedback.give(stage.project, Receipt(trace="1" * 32, bundle=said.bundle).sealed(stage.project.secret), 1.0)
    assert lost.endpoint == "words"


def test_a_pinned_case_is_a_row_with_the_answer_that_was_expected(stage: Any) -> None:
    receipt = answered(stage, first_of(stage), "say two and two", "five")
    done = pins.pin(stage.project, receipt, to="sums", expect="four")
    assert (done.file, done.cases, done.added, done.input, done.target) == (
        "regressions/sums.jsonl",
        1,
        True,
        "two and two",
        "four",
    )
    assert "[stages.sums]" in done.hint
    kept = json.loads((stage.project.root / done.file).read_text())
    assert (kept["input"], kept["target"], kept["answered"], kept["receipt"]) == (
        "two and two",
        "four",
        "five",
        receipt,
    )
    again = pins.pin(stage.project, receipt, to="sums", expect="four")
    assert (again.added, again.digest) == (False, done.digest)
    corrected = pins.pin(stage.project, receipt, to="sums", expect="4")
    assert (corrected.cases, corrected.digest != done.digest) == (1, True)


def test_a_bad_answer_is_not_taken_for_the_right_one(stage: Any) -> None:
    good = answered(stage, first_of(stage), "say one", "one")
    assert pins.pin(stage.project, good, to="set").target == "one"
    feedback.give(stage.project, good, 0.0)
    with pytest.raises(Invalid, match="say what should have been"):
        pins.pin(stage.project, good, to="set")
    failed = answered(stage, first_of(stage), "say two", "half an ans", status=500)
    with pytest.raises(Invalid, match="say what should have been"):
        pins.pin(stage.project, failed, to="set")


def test_many_pins_at_once_lose_none(stage: Any) -> None:
    receipts = [answered(stage, first_of(stage), f"say {i}", f"{i}") for i in range(3)]
    command = [sys.executable, "-m", "kedge", "-C", str(stage.project.root), "pin", "--json", "--to", "many"]
    running = [subprocess.Popen([*command, receipt], stdout=subprocess.DEVNULL) for receipt in receipts]
    assert [process.wait(120) for process in running] == [0] * 3
    lines = (stage.project.root / "regressions" / "many.jsonl").read_text().splitlines()
    assert {json.loads(line)["input"] for line in lines} == {str(i) for i in range(3)}


def test_the_next_run_judges_a_version_by_pinned_cases(make_stage: Any) -> None:
    stage = make_stage({"[models]\n": STAGES + "[models]\n"})
    receipt = answered(stage, first_of(stage), "say two and two", "say two and two")
    done = pins.pin(stage.project, receipt, to="sums", expect="four")
    assert done.stages == ("sums", "evaluate-sums", "gate-sums")
    assert done.hint == ""


STAGES = """
[stages.sums]
step = "dataset"
source = { name = "jsonl", path = "regressions/sums.jsonl" }
split = { test = 0.0, validation = 0.0 }

[stages.evaluate-sums]
step = "evaluate"
inputs = { dataset = "sums", bundle = "bundle" }
split = "train"
baselines = []

[stages.gate-sums]
step = "gate"
inputs = { evaluation = "evaluate-sums", dataset = "sums" }
rules = [{ metric = "exact_match", at_least = 0.9 }]

"""
