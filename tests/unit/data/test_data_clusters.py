"""Clusters that grow from build to build are those of comparing all rows with all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kedge.data import clusters as module
from kedge.data.clusters import Told, clusters
from kedge.data.digests import binary_column, from_hex, sort
from kedge.data.duplicates import find_clusters
from kedge.data.keyed import CONTENT
from kedge.data.rows import make_row
from kedge.data.types import DuplicateOptions
from kedge.testing.data import MemoryRows

OPTIONS = DuplicateOptions(near=0.7)
LINE = "the {} brown fox jumps over the lazy dog and runs {} into the deep forest of {}"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 2)
    monkeypatch.setattr(module, "MOST", 0.9)


def make(numbers: list[int]) -> MemoryRows:
    """A row for each number: those of the same ten are near each other."""
    texts = [LINE.format(f"{n // 10}" * 9, n // 10 * 7919, n) for n in numbers]
    rows = [make_row(input=text, target="", source=f"f:{n}", tags={}) for n, text in zip(numbers, texts, strict=True)]
    return MemoryRows(rows, OPTIONS)


def found(rows: MemoryRows, kept: NDArray[np.int64], memory: Path) -> list[int]:
    ids, contents = from_hex(rows.batch.column("id"))[kept], binary_column(rows.batch.column(CONTENT))[kept]
    heads: list[int] = clusters(rows, kept, OPTIONS, Told(ids, contents, sort(ids)), memory).tolist()
    return heads


def check(numbers: list[int], memory: Path) -> None:
    rows = make(numbers)
    kept = np.arange(len(rows), dtype=np.int64)
    assert found(rows, kept, memory) == find_clusters(rows, kept, OPTIONS).tolist()


numbers = st.lists(st.integers(0, 120), min_size=3, max_size=30, unique=True)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(numbers, min_size=2, max_size=4))
def test_whatever_comes_and_goes(tmp_path: Path, builds: list[list[int]]) -> None:
    for each in builds:
        check(each, tmp_path)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(builds=st.lists(numbers, min_size=3, max_size=5))
def test_what_is_known_may_be_older_than_the_build_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: list[list[int]]
) -> None:
    monkeypatch.setattr(module, "WORTH", 0.6)
    for each in builds:
        check(each, tmp_path)


def test_a_new_row_joins_two_clusters_without_all_being_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [*range(0, 100, 10), 1, 12]
    check(before, tmp_path)
    monkeypatch.setattr(module, "find_clusters", None)
    for more in ([2], [2, 15, 200]):
        check([*more, *before], tmp_path)


def test_nothing_new_compares_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(list(range(40)), tmp_path)
    for name in ("find_clusters", "join", "band_keys"):
        monkeypatch.setattr(module, name, None)
    rows = make(list(range(40)))
    kept = np.arange(40, dtype=np.int64)
    assert found(rows, kept, tmp_path) == find_clusters(rows, kept, OPTIONS).tolist()


def test_rows_that_share_a_part_of_their_signature_with_too_many_are_compared_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 3)
    check(list(range(40)), tmp_path)
    assert not (tmp_path / "now").exists()
    check(list(range(41)), tmp_path)


def test_other_options_or_a_lost_memory_cost_only_time(tmp_path: Path) -> None:
    check(list(range(30)), tmp_path)
    (tmp_path / "now").write_bytes(b"{}")
    check(list(range(31)), tmp_path)


def test_a_damaged_memory_costs_only_time(tmp_path: Path) -> None:
    for kept in (0, 99):  # bytes of it
        check(list(range(30)), tmp_path)
        path = next(tmp_path.glob("*/keys"))
        path.write_bytes(path.read_bytes()[:kept])
        check(list(range(31)), tmp_path)


def test_only_the_newest_memory_stays(tmp_path: Path) -> None:
    for count in (20, 21, 22):
        check(list(range(count)), tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_rows_that_go_alone_leave_the_others_as_they_are(tmp_path: Path) -> None:
    for gone in (0, 10, 21):  # alone at first, alone later, and one that held a cluster together
        check([*range(0, 100, 10), 21, 22, 23], tmp_path)
        check([n for n in (*range(0, 100, 10), 21, 22, 23) if n != gone], tmp_path)
