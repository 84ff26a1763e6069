"""Nothing leaks from one split into another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.core.dataset import Row, Split
from kedge.core.errors import Invalid
from kedge.data.rows import make_row
from kedge.data.split import fall
from kedge.data.types import SplitOptions
from kedge.testing.data import DividedRows, divide_rows, make_rows

WORDS = ("load", "store", "read", "write", "open", "close", "begin", "finish")


def shingle_set(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def jaccard(one: Row, other: Row) -> float:
    a, b = shingle_set(one.input), shingle_set(other.input)
    return len(a & b) / len(a | b)


@st.composite
def many_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of a few modules, with equal names, equal texts and texts that differ in a letter."""
    made = []
    for i in range(draw(st.integers(1, 40))):
        name = "_".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)))
        text = f"def {name}(self, {', '.join(draw(st.lists(st.sampled_from(WORDS), max_size=3)))}):"
        letter = draw(st.integers(0, 200))
        text = text[:letter] + "x" + text[letter + 1 :] if letter < len(text) else text
        tags = {"module": f"m{draw(st.integers(0, 12))}.py", "name": name}
        made.append(make_row(input=text, target=name, source=f"f:{i}", tags=tags))
    return made


def divided(made: list[Row], group: str) -> DividedRows:
    return divide_rows(made, SplitOptions(test=0.25, validation=0.2, group=group, unseen=("name",) if group else ()))


@settings(max_examples=50, deadline=None)
@given(many_rows(), st.sampled_from(["module", ""]))
def test_no_two_splits_share_a_group_a_cluster_a_name_or_a_near_text(made: list[Row], group: str) -> None:
    found = divided(made, group)
    placed = list(zip(found.rows, found.clusters, found.splits, strict=True))
    for one, cluster, split in placed:
        for other, other_cluster, other_split in placed:
            if split is other_split:
                continue
            assert cluster != other_cluster
            assert jaccard(one, other) < 0.8
            assert not group or one.tags["name"] != other.tags["name"]
            assert not group or one.tags["module"] != other.tags["module"]


@settings(max_examples=20, deadline=None)
@given(many_rows(), st.sampled_from(["module", ""]))
def test_every_row_is_kept_or_rejected_once_under_its_id(made: list[Row], group: str) -> None:
    found = divided(made, group)
    ids = [row.id for row in found.rows] + [reject.row for reject in found.rejects]
    assert sorted(ids) == sorted(row.id for row in made)


@settings(max_examples=15, deadline=None)
@given(many_rows(), st.sampled_from(["module", ""]), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(made: list[Row], group: str, chance: object) -> None:
    shuffled = list(made)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one, other = divided(made, group), divided(shuffled, group)

    def kept(found: DividedRows) -> dict[str, tuple[Split, str]]:
        ids = (row.id for row in found.rows)
        return dict(zip(ids, zip(found.splits, found.clusters, strict=True), strict=True))

    assert kept(one) == kept(other)


def test_training_rows_are_never_given_up() -> None:
    made = [
        make_row(input=f"text number {i} of {i * i}", target="", source=f"f:{i}", tags={"m": i, "name": "same"})
        for i in range(50)
    ]
    options = SplitOptions(test=0.3, validation=0.2, group="m", unseen=("name",))
    found = divide_rows(made, options)
    before = [fall(str(i), options) for i in range(50)]
    assert set(found.splits) == {Split.TRAIN}
    assert len(found.splits) == sum(split is Split.TRAIN for split in before)
    assert {reject.reason for reject in found.rejects} == {"leak:name"}
    assert 'name "same" is in train' in found.rejects[0].detail


def test_shares_are_about_what_was_asked_for() -> None:
    splits = [fall(f"group {i}", SplitOptions(test=0.2, validation=0.1)) for i in range(20_000)]
    assert abs(splits.count(Split.TEST) / 20_000 - 0.2) < 0.01
    assert abs(splits.count(Split.VALIDATION) / 20_000 - 0.1) < 0.01


def test_a_group_falls_the_same_way_until_the_seed_changes() -> None:
    def falls(options: SplitOptions) -> list[Split]:
        return [fall(f"group {i}", options) for i in range(500)]

    assert falls(SplitOptions()) == falls(SplitOptions())
    assert falls(SplitOptions()) != falls(SplitOptions(seed=1))
    assert falls(SplitOptions(test=0, validation=0)) == [Split.TRAIN] * 500


def test_a_group_that_rows_do_not_have_is_named() -> None:
    with pytest.raises(Invalid, match=r"the row from f:1 has no such tag"):
        divided(make_rows("a"), "module")


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(Invalid, match="less than 1"):
        SplitOptions(test=0.6, validation=0.4)
