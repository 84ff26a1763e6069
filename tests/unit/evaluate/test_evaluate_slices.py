from __future__ import annotations

from typing import Any

import pytest

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.slices import slicer


def make_rows(tag: str, *values: Any) -> list[Row]:
    tags: list[dict[str, Any]] = [{tag: value} if value is not None else {} for value in values]
    return [Row(id=f"r{i}", input="", target="t", source="s", tags=each) for i, each in enumerate(tags)]


def slices_of(tag: str, *values: Any, wanted: str = "") -> list[tuple[str, ...]]:
    rows = make_rows(tag, *values)
    slices = slicer(rows, [wanted or tag])
    return [slices(row) for row in rows]


def test_counts_stand_alone_up_to_3_and_together_from_4_and_from_2() -> None:
    assert slices_of("args", 0, 1, 2, 3, 4, 9) == [
        ("args=0",),
        ("args=1",),
        ("args=2", "args>=2"),
        ("args=3", "args>=2"),
        ("args=4+", "args>=2"),
        ("args=4+", "args>=2"),
    ]


def test_truth_values_are_two_slices() -> None:
    assert slices_of("async", True, False) == [("async=true",), ("async=false",)]


def test_large_numbers_are_cut_into_quarters() -> None:
    found = [name for (name,) in slices_of("length", 10, 20, 30, 40, 50.5, 600, 700, 800)]

    assert found[0].startswith("length<=")
    assert found[-1].startswith("length>")
    assert len(set(found)) == 4


def test_rare_texts_are_together() -> None:
    values = ["common"] * 3 + [f"rare{i}" for i in range(30)]
    found = slices_of("module", *values)

    assert found[0] == ("module=common",)
    assert found[-1] == ("module=other",)
    assert len(set(found)) == 21


@pytest.mark.parametrize(
    ("wanted", "members"),
    [("args>=2", [2, 3]), ("args=1", [1]), ("args<2", [0, 1]), ("args != 3", [0, 1, 2])],
)
def test_a_comparison_is_a_slice(wanted: str, members: list[int]) -> None:
    found = slices_of("args", 0, 1, 2, 3, wanted=wanted)

    assert [i for i, names in enumerate(found) if names] == members


def test_a_comparison_of_a_truth_value_reads_true_and_false() -> None:
    assert slices_of("async", True, False, wanted="async=true") == [("async=true",), ()]


def test_a_row_without_the_column_is_in_no_slice() -> None:
    assert slices_of("args", 1, None) == [("args=1",), ()]


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(Invalid) as error:
        slices_of("args", 1, wanted="argz")
    assert "args" in error.value.hint


def test_a_number_compared_with_a_word_is_a_mistake_of_the_user() -> None:
    with pytest.raises(Invalid, match="is a number"):
        slices_of("args", 1, wanted="args>=many")
