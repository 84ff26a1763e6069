"""Parquet files become rows; what cannot be read is a reject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kedge.core.dataset import Reject, Row
from kedge.data.sources.parquet import ParquetOptions
from kedge.data.sources.parquet_rows import read
from kedge.data.types import Medium, SourceFile


def write(folder: Path, columns: dict[str, list[Any]], **options: Any) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def read_all(path: Path, **options: Any) -> list[Row | Reject]:
    found = read(SourceFile(path=path, label="rows.parquet"), ParquetOptions(**options))
    return [each for each in found if not isinstance(each, Medium)]


def test_rows_are_named_by_their_number(tmp_path: Path) -> None:
    path = write(tmp_path, {"input": ["a", "b", "c"], "target": ["x", "y", "z"], "n": [1, 2, None]}, row_group_size=2)
    rows = [row for row in read_all(path) if isinstance(row, Row)]
    assert [(row.input, row.target, row.source) for row in rows] == [
        ("a", "x", "rows.parquet#0"),
        ("b", "y", "rows.parquet#1"),
        ("c", "z", "rows.parquet#2"),
    ]
    assert [row.tags for row in rows] == [{"n": 1}, {"n": 2}, {}]


def test_values_that_make_no_row_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path, {"input": ["a", None, "c"], "target": ["x", "y", None], "f": [1.0, 2.0, 3.0]})
    found = read_all(path)
    reasons = [each.reason for each in found if isinstance(each, Reject)]
    assert reasons == ["missing-input", "missing-target"]


def test_values_that_json_cannot_hold_are_rejected(tmp_path: Path) -> None:
    nan = read_all(write(tmp_path, {"text": ["a", "b"], "f": [float("nan"), 1.0]}))
    assert [each.reason if isinstance(each, Reject) else each.input for each in nan] == ["type", "b"]
    raw = read_all(write(tmp_path, {"text": ["a"], "bytes": [b"\xff"]}))
    assert [each.reason for each in raw if isinstance(each, Reject)] == ["type"]


def test_a_file_that_is_cut_off_is_one_reject(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": ["a"] * 1000})
    path.write_bytes(path.read_bytes()[:-20])
    (reject,) = read_all(path)
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.source) == ("parquet", "rows.parquet#0")


def test_a_damaged_row_group_does_not_take_the_others_along(tmp_path: Path) -> None:
    path = write(
        tmp_path, {"text": [f"text {i}" for i in range(200)]}, row_group_size=100, compression="zstd",
        use_dictionary=False, write_page_checksum=True,
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    metadata = pq.ParquetFile(path).metadata.row_group(0).column(0)
    middle = metadata.data_page_offset + metadata.total_compressed_size // 2
    data[middle : middle + 16] = b"\xff" * 16
    path.write_bytes(data)
    found = read_all(path)
    assert [each.input for each in found if isinstance(each, Row)][-100:] == [f"text {i}" for i in range(100, 200)]
    assert [each.reason for each in found if isinstance(each, Reject)] == ["parquet"]


def test_a_row_group_that_unpacks_to_too_much_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": ["a" * 1000] * 1000}, use_dictionary=False)
    (reject,) = read_all(path, max_group_bytes=10_000)
    assert isinstance(reject, Reject)
    assert reject.reason == "too-long"
