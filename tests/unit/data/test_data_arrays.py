"""Arrays are those that Arrow makes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.errors import Invalid
from kedge.data import arrays
from kedge.data.arrays import blobs, fixed, from_numpy, indices, mask, strings, to_numpy


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20), max_size=8))
def test_strings_are_those_of_arrow(texts: list[str]) -> None:
    assert strings(texts).equals(pa.array(texts, pa.string()))
    strings(texts).validate(full=True)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_bytes_are_those_of_arrow(values: list[bytes]) -> None:
    assert blobs(values).equals(pa.array(values, pa.binary()))
    fitted = [value.ljust(20) for value in values]
    assert fixed(fitted, pa.binary(20)).equals(pa.array(fitted, pa.binary(20)))


@given(st.lists(st.booleans(), max_size=40))
def test_masks_are_those_of_arrow(values: list[bool]) -> None:
    assert mask(np.array(values, dtype=bool)).equals(pa.array(values, pa.bool_()))


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20), st.sampled_from(["i4", "i8", "f4", "f8"]))
def test_numbers_are_those_of_arrow_and_of_numpy(values: list[int], kind: str) -> None:
    array = np.array([values, values]).T.astype(kind)[:, 0]  # with gaps between them
    column = from_numpy(array)
    assert column.equals(pa.array(array))
    assert (to_numpy(column) == array).all()
    assert (to_numpy(pa.chunked_array([column, column])) == np.concatenate((array, array))).all()
    assert indices(values).equals(pa.array(values, pa.int64()))


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        strings(["a", "\ud800"])


def test_texts_that_no_batch_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_MOST", 5)
    with pytest.raises(Invalid, match="6 bytes of text in one batch"):
        strings(["abc", "def"])
