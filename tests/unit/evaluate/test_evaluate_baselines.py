from __future__ import annotations

import pytest

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.baselines.common import most_common, most_common_args
from kedge.evaluate.baselines.nearest import nearest


def make_rows(*pairs: tuple[str, str]) -> list[Row]:
    return [Row(id=f"r{i}", input=asked, target=target, source="m.py:1") for i, (asked, target) in enumerate(pairs)]


SCHEMAS = make_rows(
    ("def run(self)", '{"name": "run", "args": ["self"]}'),
    ("def stop(self)", '{"name": "stop", "args": ["self"]}'),
    ("def add(a, b)", '{"name": "add", "args": ["a", "b"]}'),
)


def test_most_common_says_the_most_frequent_target() -> None:
    rows = make_rows(("a", "x"), ("b", "y"), ("c", "y"))

    assert most_common()(rows, ["q", "r"]) == ["y", "y"]


def test_equally_frequent_targets_are_chosen_by_the_alphabet() -> None:
    assert most_common()(make_rows(("a", "y"), ("b", "x")), ["q"]) == ["x"]


def test_most_common_args_reads_the_name_and_guesses_the_arguments() -> None:
    answers = most_common_args()(SCHEMAS, ["async def fetch(url)", "no header"])

    assert answers == ['{"name": "fetch", "args": ["self"]}', '{"name": "", "args": ["self"]}']


def test_most_common_args_wants_call_schemas() -> None:
    with pytest.raises(Invalid, match="not a call schema"):
        most_common_args()(make_rows(("a", "plain")), ["q"])


def test_a_wrong_pattern_is_a_mistake_of_the_user() -> None:
    with pytest.raises(Invalid, match="not a regular expression"):
        most_common_args(pattern="(")


def test_nearest_answers_with_the_target_of_the_most_similar_input() -> None:
    assert nearest()(SCHEMAS, ["def add(x, y)", "def stop(this)"]) == [SCHEMAS[2].target, SCHEMAS[1].target]


def test_nearest_does_not_depend_on_the_order_of_the_rows() -> None:
    inputs = ["def walk(self)", "zzz", "def add(b, a)"]

    assert nearest()(SCHEMAS, inputs) == nearest()(SCHEMAS[::-1], inputs)


@pytest.mark.parametrize("baseline", [most_common(), most_common_args(), nearest()])
def test_without_training_rows_there_is_no_baseline(baseline: object) -> None:
    with pytest.raises(Invalid, match="there are none"):
        baseline([], ["q"])  # type: ignore[operator]  # a Baseline
