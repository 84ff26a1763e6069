"""Texts are spelt one way, and rows that are the same are found."""

from __future__ import annotations

import random

import pytest

from kedge.core.dataset import Row, Split
from kedge.core.errors import Invalid
from kedge.data.duplicates import cluster_near, drop_exact, near_pairs
from kedge.data.normalise import normalise
from kedge.data.types import Cleaned, DuplicateOptions, NormaliseOptions
from kedge.testing.data import make_cleaned, make_rows

HEADERS = [
    "def parse_configuration_file(self, path, encoding=None):",
    "def parse_configuration_file(self, path, encoding=''):",
    "def parse_configuration_files(self, path, encoding=''):",
    "def close(self):",
]


def test_a_row_keeps_its_id_when_its_text_is_tidied() -> None:
    (row,) = make_rows("cafe\u0301  \r\nx\n", target="y \n")
    (tidied,) = normalise(make_cleaned([row]), NormaliseOptions()).rows
    assert (tidied.input, tidied.target, tidied.id) == ("caf\u00e9\nx", "y", row.id)


def test_rows_that_are_empty_short_or_long_are_dropped_with_their_ids() -> None:
    made = make_rows("", "  \n", "ab", "abc", "abcdef")
    found = normalise(make_cleaned(made), NormaliseOptions(min_chars=3, max_chars=5))
    assert [row.input for row in found.rows] == ["abc"]
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
        found = drop_exact(make_cleaned(order), [Split.TRAIN] * 4)
        assert {row.id for row in found.rows} == {same[0].id, made[1].id}
        assert {reject.row for reject in found.rejects} == {row.id for row in same[1:]}
        assert {reject.reason for reject in found.rejects} == {"duplicate:exact"}


def test_of_exact_duplicates_a_training_row_stays_before_a_held_out_one() -> None:
    made = make_rows("same", "same", "same")
    for train in range(3):
        splits = [Split.TRAIN if i == train else Split.TEST for i in range(3)]
        assert [row.id for row in drop_exact(make_cleaned(made), splits).rows] == [made[train].id]


def test_the_same_input_with_another_target_is_another_row() -> None:
    made = [*make_rows("same", target="a"), *make_rows("same", target="b")]
    assert len(drop_exact(make_cleaned(made), [Split.TRAIN] * 2).rows) == 2


def test_near_rows_share_the_smallest_id_as_their_cluster() -> None:
    made = make_rows(*HEADERS)
    expected = min(row.id for row in made[:3])
    for order in (made, made[::-1]):
        found = cluster_near(make_cleaned(order), DuplicateOptions())
        by_row = dict(zip((row.id for row in found.rows), found.clusters, strict=True))
        assert [by_row[row.id] for row in made] == [expected, expected, expected, made[3].id]


def test_one_row_of_a_cluster_may_be_kept() -> None:
    found = cluster_near(make_cleaned(make_rows(*HEADERS)), DuplicateOptions(drop_near=True))
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
    made: list[Row] = make_rows(*texts)
    assert len(cluster_near(Cleaned(rows=made, rejects=()), DuplicateOptions()).clusters) == len(texts)


@pytest.mark.parametrize("options", [{"near": 0.2}, {"near": 1.1}, {"shingle": 0}, {"shingle": 99}])
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        DuplicateOptions(**options)  # type: ignore[arg-type]  # wrong on purpose
