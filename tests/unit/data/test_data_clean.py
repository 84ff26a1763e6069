"""Texts are spelt one way, and rows that are the same are found."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.data.duplicates import near_pairs
from kedge.data.keyed import to_batch
from kedge.data.normalise import open_normalise
from kedge.data.split import fall
from kedge.data.types import DuplicateOptions, NormaliseOptions, SplitOptions
from kedge.testing.data import divide_rows, make_rows

HEADERS = [
    "def parse_configuration_file(self, path, encoding=None):",
    "def parse_configuration_file(self, path, encoding=''):",
    "def parse_configuration_files(self, path, encoding=''):",
    "def close(self):",
]


def test_a_row_keeps_its_id_when_its_text_is_tidied() -> None:
    (row,) = make_rows("cafe\u0301  \r\nx\n", target="y \n")
    (tidied,) = open_normalise(NormaliseOptions())(to_batch([row])).batch.to_pylist()
    assert (tidied["input"], tidied["target"], tidied["id"]) == ("caf\u00e9\nx", "y", row.id)


def test_rows_that_are_empty_short_or_long_are_dropped_with_their_ids() -> None:
    made = make_rows("", "  \n", "ab", "abc", "abcdef")
    found = open_normalise(NormaliseOptions(min_chars=3, max_chars=5))(to_batch(made))
    assert found.batch.column("input").to_pylist() == ["abc"]
    assert [(reject.reason, reject.row) for reject in found.rejects] == [
        ("empty", made[0].id),
        ("empty", made[1].id),
        ("too-short", made[2].id),
        ("too-long", made[4].id),
    ]


def test_of_exact_duplicates_the_smallest_id_stays_in_any_order() -> None:
    made = make_rows("same", "other", "same", "same")
    same = sorted((row for row in made if row.input == "same"), key=lambda row: row.id)
    for order in (made, made[::-1]):
        found = divide_rows(order)
        assert {row.id for row in found.rows} == {same[0].id, made[1].id}
        assert {reject.row for reject in found.rejects} == {row.id for row in same[1:]}
        assert {(reject.reason, reject.detail) for reject in found.rejects} == {
            ("duplicate:exact", f"the same as {same[0].id}")
        }


def test_of_exact_duplicates_a_training_row_stays_before_a_held_out_one() -> None:
    split = SplitOptions(test=0.5, validation=0, group="m")
    train = next(i for i in range(99) if fall(str(i), split) is Split.TRAIN)
    test = next(i for i in range(99) if fall(str(i), split) is Split.TEST)
    for groups in ([train, test, test], [test, train, test], [test, test, train]):
        made = [row for m in groups for row in make_rows("same", m=m, at=len(groups))]
        made = [replace(row, source=f"f:{i}", id=f"{9 - i}" * 32) for i, row in enumerate(made)]
        assert [row.tags["m"] for row in divide_rows(made, split).rows] == [train]


def test_the_same_input_with_another_target_is_another_row() -> None:
    made = [*make_rows("same", target="a"), *make_rows("same", target="b")]
    assert len(divide_rows(made).rows) == 2


def test_near_rows_share_the_smallest_id_as_their_cluster() -> None:
    made = make_rows(*HEADERS)
    expected = min(row.id for row in made[:3])
    for order in (made, made[::-1]):
        found = divide_rows(order)
        by_row = dict(zip((row.id for row in found.rows), found.clusters, strict=True))
        assert [by_row[row.id] for row in made] == [expected, expected, expected, made[3].id]


def test_one_row_of_a_cluster_may_be_kept() -> None:
    found = divide_rows(make_rows(*HEADERS), duplicates=DuplicateOptions(drop_near=True))
    assert len(found.rows) == len(found.clusters) == 2
    assert [reject.reason for reject in found.rejects] == ["duplicate:near"] * 2


def test_one_turns_the_search_for_near_rows_off() -> None:
    assert len(near_pairs(HEADERS, DuplicateOptions(near=1.0))) == 0


def shingle_set(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def test_near_pairs_are_those_of_a_comparison_of_all_with_all() -> None:
    chance = random.Random(11)
    words = ["".join(chance.choices("abcdefgh", k=5)) for _ in range(60)]
    texts = list({" ".join(chance.choices(words, k=8)) for _ in range(120)})
    texts += [text[:i] + "z" + text[i + 1 :] for text in texts[:60] for i in (3, 20, len(text) - 2)]
    sets = [shingle_set(text) for text in texts]
    expected = {
        (a, b)
        for a in range(len(texts))
        for b in range(a + 1, len(texts))
        if len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= 0.8
    }
    assert len(expected) > 100
    assert {tuple(pair) for pair in near_pairs(texts, DuplicateOptions()).tolist()} == expected


@pytest.mark.parametrize("texts", [[], ["only one"], ["", ""]])
def test_few_texts_are_no_trouble(texts: list[str]) -> None:
    assert len(divide_rows(make_rows(*texts), duplicates=DuplicateOptions(exact=False)).clusters) == len(texts)


@pytest.mark.parametrize("options", [{"near": 0.2}, {"near": 1.1}, {"shingle": 0}, {"shingle": 99}])
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        DuplicateOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_near_texts_that_are_not_held_at_the_same_time_are_found() -> None:
    chance = random.Random(5)
    words = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(120_000)]
    long = " ".join(words)
    found = divide_rows(make_rows(long, long + " a", "another", long + " b", long + " c"))
    assert len(set(found.clusters)) == 2
