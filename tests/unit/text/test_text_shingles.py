"""Shingles as numbers agree with shingles as texts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kedge.text.shingles import jaccard, shingle_sets, shingles

TEXTS = st.lists(st.text(alphabet="abé\N{GRINNING FACE} ", max_size=20), min_size=1, max_size=8)


def plain(text: str, width: int) -> set[str]:
    padded = text.ljust(width, "\0")
    return {padded[i : i + width] for i in range(len(padded) - width + 1)}


@given(TEXTS, st.integers(1, 6))
def test_each_text_has_as_many_shingles_as_places(texts: list[str], width: int) -> None:
    assert shingles(texts, width).lengths.tolist() == [max(len(text), width) - width + 1 for text in texts]


@given(TEXTS, st.integers(1, 6))
def test_jaccard_is_that_of_the_sets_of_texts(texts: list[str], width: int) -> None:
    sets = shingle_sets(texts, width)
    left, right = np.divmod(np.arange(len(texts) ** 2), len(texts))
    found = jaccard(sets, left, right)
    for a, b, similarity in zip(left, right, found, strict=True):
        one, other = plain(texts[a], width), plain(texts[b], width)
        assert similarity == len(one & other) / len(one | other)


def test_the_same_shingle_has_the_same_number_wherever_it_stands() -> None:
    found = shingles(["xhello", "hello"], 5)
    assert found.values[1] == found.values[2]
    assert found.values[0] != found.values[1]


def test_no_texts_have_no_shingles() -> None:
    assert len(shingles([])) == 0
