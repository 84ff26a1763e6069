"""Inputs are connected to outputs, and stages are put in an order in which they can run."""

from __future__ import annotations

import pytest
from tests.unit.pipeline.conftest import DATASET, MODEL, REPORT, make_stage

from kedge.core.errors import Invalid
from kedge.pipeline.order import order, select
from kedge.pipeline.types import Source

DATA = make_stage("data", makes={"dataset": DATASET})
TRAIN = make_stage("train", needs={"dataset": DATASET, "base?": MODEL}, makes={"model": MODEL})
JUDGE = make_stage("judge", needs={"model": MODEL, "dataset": DATASET}, makes={"report": REPORT})


def test_an_input_comes_from_the_nearest_earlier_stage_with_that_port() -> None:
    other = make_stage("other", makes={"dataset": DATASET})
    nodes = {node.name: node for node in order([DATA, other, TRAIN, JUDGE])}
    assert nodes["train"].sources == {"dataset": Source(stage="other", port="dataset")}
    assert nodes["judge"].sources["model"] == Source(stage="train", port="model")


def test_an_input_can_be_named_and_then_order_in_the_file_does_not_matter() -> None:
    train = make_stage("train", needs={"dataset": DATASET}, makes={"model": MODEL}, given={"dataset": "data"})
    assert [node.name for node in order([train, DATA])] == ["data", "train"]


def test_a_stage_with_one_output_of_the_kind_needs_no_port_named() -> None:
    made = make_stage("made", makes={"rows": DATASET})
    train = make_stage("train", needs={"dataset": DATASET}, given={"dataset": "made"})
    assert order([made, train])[1].sources["dataset"] == Source(stage="made", port="rows")


def test_an_input_that_may_be_absent_is_left_out() -> None:
    assert "base" not in order([DATA, TRAIN])[1].sources


def test_a_missing_input_says_what_to_add() -> None:
    with pytest.raises(Invalid, match="stage 'train' needs a dataset as its input 'dataset'") as missing:
        order([TRAIN])
    assert "add a stage" in missing.value.hint


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"datset": "data"}, "has no input 'datset'", "did you mean 'dataset'?"),
        ({"dataset": "dta"}, "no stage is called 'dta'", "did you mean 'data'?"),
        ({"dataset": "data.rows"}, "'data.rows' is not", "data makes: dataset (dataset)"),
        ({"base": "data"}, "its input 'base' is a model, and 'data' is not", "data makes: dataset (dataset)"),
    ],
)
def test_a_wrong_input_names_what_there_is(given: dict[str, str], message: str, hint: str) -> None:
    stage = make_stage("train", needs=TRAIN.step.inputs, makes={"model": MODEL}, given=given)
    with pytest.raises(Invalid) as wrong:
        order([DATA, stage])
    assert message in wrong.value.message
    assert wrong.value.hint == hint


def test_a_circle_is_drawn() -> None:
    one = make_stage("one", needs={"model": MODEL}, makes={"model": MODEL}, given={"model": "two"})
    two = make_stage("two", needs={"model": MODEL}, makes={"model": MODEL}, given={"model": "one"})
    with pytest.raises(Invalid, match="one -> two -> one"):
        order([one, two])


def test_selected_stages_bring_what_they_depend_on() -> None:
    nodes = order([DATA, TRAIN, JUDGE, make_stage("aside")])
    assert [node.name for node in select(nodes, ["train"])] == ["data", "train"]
    assert [node.name for node in select(nodes, [])] == ["data", "train", "judge", "aside"]
    with pytest.raises(Invalid, match="no stage is called 'trian'"):
        select(nodes, ["trian"])
