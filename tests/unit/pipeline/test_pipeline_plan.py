"""A plan says for each stage whether it runs, and why in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.pipeline.conftest import DATASET, MODEL, MemoryRecords, make_around, make_stage

from kedge.core.run import RunStatus
from kedge.core.spec import Spec
from kedge.pipeline.order import order
from kedge.pipeline.plan import Planner, key_of, plan
from kedge.pipeline.types import Action, Circumstances, Node

DATA = make_stage("data", makes={"dataset": DATASET})
TRAIN = make_stage(
    "train", needs={"dataset": DATASET}, makes={"model": MODEL}, args={"steps": 100, "lora": {"rank": 8}}
)
AROUND = make_around()
INPUTS = {"dataset": "sha256:d"}


def node_of(args: Mapping[str, Any] | None = None) -> Node:
    spec = Spec(name="train", args=args) if args is not None else TRAIN.spec
    return order([DATA, replace(TRAIN, spec=spec)])[1]


def decide(
    records: MemoryRecords,
    node: Node | None = None,
    around: Circumstances = AROUND,
    inputs: Mapping[str, str] = INPUTS,
    modules: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Action, str]:
    remembered = modules or {}
    planner = Planner(records, lambda stage: around, modules=lambda code: remembered.get(code, {}))
    planned, _ = planner.decide(node or node_of(), inputs)
    return planned.action, planned.reason


def ran(status: RunStatus = RunStatus.SUCCEEDED, around: Circumstances = AROUND) -> MemoryRecords:
    records = MemoryRecords()
    key = key_of(node_of(), around, INPUTS)
    records.add(TRAIN, key, around, inputs=INPUTS, outputs={"model": "sha256:m"}, status=status)
    return records


def test_a_stage_that_never_ran_runs() -> None:
    assert decide(MemoryRecords()) == (Action.RUN, "never run")


def test_a_stage_that_is_known_is_skipped() -> None:
    assert decide(ran()) == (Action.SKIP, "up to date")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (RunStatus.FAILED, "its last run failed"),
        (RunStatus.INTERRUPTED, "its last run was interrupted: it goes on from there"),
        (RunStatus.RUNNING, "its last run never ended"),
    ],
)
def test_what_became_of_the_last_run_is_the_reason(status: RunStatus, reason: str) -> None:
    assert decide(ran(status)) == (Action.RUN, reason)


def test_changed_options_are_named_with_both_values() -> None:
    changed = node_of({"steps": 200, "lora": {"rank": 4}, "seed": 1})
    assert decide(ran(), changed) == (
        Action.RUN,
        "options changed: lora.rank 8 -> 4, seed unset -> 1, steps 100 -> 200",
    )


def test_of_many_changes_the_first_are_named() -> None:
    changed = node_of({"steps": 100, "lora": {"rank": 8}, "a": 1, "b": 2, "c": 3, "d": 4})
    assert decide(ran(), changed)[1] == "options changed: a unset -> 1, b unset -> 2, c unset -> 3 and 1 more"


def test_changed_code_is_named_by_module_where_it_is_remembered() -> None:
    around = make_around(code="new", modules={"kedge.train": "2", "kedge.new": "1"})
    old = {"code": {"kedge.train": "1"}}
    assert decide(ran(), around=around, modules=old)[1] == "code changed: kedge.new, kedge.train"
    assert decide(ran(), around=around)[1] == "code changed"


def test_a_changed_environment_names_the_package() -> None:
    assert decide(ran(), around=make_around(torch="2.14"))[1] == "environment changed: torch 2.13 -> 2.14"


def test_a_changed_outside_is_told_apart_from_packages() -> None:
    before = make_around(torch="2.13", outside="a")
    after = make_around(torch="2.13", outside="b")
    assert decide(ran(around=before), around=after)[1] == "what it reads from outside changed"


def test_a_changed_input_names_where_it_comes_from() -> None:
    assert decide(ran(), inputs={"dataset": "sha256:e"})[1] == "input changed: dataset from data"


def test_several_reasons_are_all_told() -> None:
    node = node_of({"steps": 1, "lora": {"rank": 8}})
    reason = decide(ran(), node, make_around(torch="3"), {"dataset": "sha256:e"})[1]
    assert reason == (
        "options changed: steps 100 -> 1; input changed: dataset from data; environment changed: torch 2.13 -> 3"
    )


def test_after_a_failure_the_reason_is_what_changed_since_the_last_success() -> None:
    records = ran()
    records.add(TRAIN, "other", AROUND, inputs=INPUTS, status=RunStatus.FAILED)
    assert decide(records, node_of({"steps": 7, "lora": {"rank": 8}}))[1] == "options changed: steps 100 -> 7"


def test_a_lost_output_is_made_again() -> None:
    records = ran()
    records.lost.add("sha256:m")
    assert decide(records) == (Action.RUN, "an output is no longer there")


def test_the_name_of_the_stage_decides_too() -> None:
    assert key_of(node_of(), AROUND, INPUTS) != key_of(order([DATA, replace(TRAIN, name="again")])[1], AROUND, INPUTS)


def test_a_stage_after_one_that_runs_waits() -> None:
    records = ran()
    planner = Planner(records, lambda stage: AROUND, modules=lambda code: {})
    steps = plan(order([DATA, TRAIN]), planner).steps
    assert [(step.stage, step.action, step.reason) for step in steps] == [
        ("data", Action.RUN, "never run"),
        ("train", Action.WAIT, "runs if what comes from there differs (after data)"),
    ]


def test_a_plan_in_which_all_is_known_is_idle() -> None:
    records = ran()
    data = order([DATA])[0]
    records.add(DATA, key_of(data, AROUND, {}), AROUND, outputs={"dataset": "sha256:d"})
    planner = Planner(records, lambda stage: AROUND, modules=lambda code: {})
    assert plan(order([DATA, TRAIN]), planner).idle
    forced = Planner(records, lambda stage: AROUND, modules=lambda code: {}, forced={"train"})
    assert [step.reason for step in plan(order([DATA, TRAIN]), forced).steps] == ["up to date", "forced"]
