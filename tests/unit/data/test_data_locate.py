"""A row is found by its id, or the first digits of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.errors import Broken, Invalid, NotFound
from kedge.data.locate import encode_ids, find_row, find_rows, open_array
from kedge.data.read import read_at, read_dataset, read_placed, read_rows
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, make_examples, write_jsonl


@pytest.fixture
def dataset(blobs: MemoryBlobs, tmp_path: Path) -> str:
    write_jsonl(tmp_path / "rows.jsonl", make_examples(60))
    return build_dataset(blobs, tmp_path).artifact.digest


def test_every_row_is_found_by_its_id(blobs: MemoryBlobs, dataset: str) -> None:
    for _, placed in read_placed(blobs, read_dataset(blobs, dataset)):
        assert find_row(blobs, dataset, placed.row.id) == placed
        assert find_row(blobs, dataset, placed.row.id[:12]) == placed


def test_a_row_that_is_not_there_is_not_found(blobs: MemoryBlobs, dataset: str) -> None:
    row = next(read_rows(blobs, dataset))
    for other in ("f" * 32, "0" * 32, row.id[:-1] + ("0" if row.id[-1] != "0" else "1")):
        with pytest.raises(NotFound):
            find_row(blobs, dataset, other)


@pytest.mark.parametrize("row", ["abc", "xyzxyz", "A" * 32, "a" * 33, "", "../../etc"])
def test_what_cannot_be_an_id_is_refused(blobs: MemoryBlobs, dataset: str, row: str) -> None:
    with pytest.raises(Invalid, match="not a row id"):
        find_rows(blobs, dataset, row)


@given(st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), unique=True))
def test_the_column_of_ids_is_sorted_and_beside_its_places(ids: list[str]) -> None:
    data = encode_ids(ids)
    heads, places = np.frombuffer(data[: len(ids) * 8], "<u8"), np.frombuffer(data[len(ids) * 8 :], "<u4")
    assert [int(ids[place][:16], 16) for place in places] == heads.tolist() == sorted(heads.tolist())


def test_rows_come_back_in_the_order_asked_for(blobs: MemoryBlobs, dataset: str) -> None:
    segments = read_dataset(blobs, dataset).segments
    every = dict(read_placed(blobs, read_dataset(blobs, dataset)))
    assert read_at(blobs, segments, [40, 3, 59, 3]) == [every[i] for i in (40, 3, 59, 3)]
    with pytest.raises(NotFound, match="no row number 60"):
        read_at(blobs, segments, [60])


def test_an_array_that_needs_a_pickle_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(Broken, match="not an array"):
        open_array(tmp_path / "bad.npy")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(Broken):
        open_array(tmp_path / "cut.npy")
