"""What changed between versions, what the files outside say, and datasets for other tools."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kedge.core.dataset import Split
from kedge.core.errors import Conflict
from kedge.core.ports import Silent
from kedge.data import fingerprint as module
from kedge.data.diff import diff
from kedge.data.export import export
from kedge.data.fingerprint import fingerprint
from kedge.data.locate import find_row
from kedge.data.read import read_rows
from kedge.data.types import NormaliseOptions, SourceFile, SplitOptions
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, make_examples, write_jsonl


def test_a_diff_counts_what_came_went_and_moved(blobs: MemoryBlobs, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", make_examples(100))
    before = build_dataset(blobs, tmp_path).artifact.digest
    write_jsonl(tmp_path / "rows.jsonl", [*make_examples(90), *make_examples(5, begin=300)])
    normalise, split = NormaliseOptions(max_chars=999), SplitOptions(seed=3)
    after = build_dataset(blobs, tmp_path, split=split, normalise=normalise).artifact.digest
    found = diff(blobs, before, after, sample=4)
    assert (found.added, found.removed, found.changed, found.moved + found.kept) == (0, 5, 5, 90)
    assert found.moved > 0
    assert len(found.removed_rows) == len(found.changed_rows) == 4
    for was, became in found.changed_rows:
        assert find_row(blobs, before, was).row.source == find_row(blobs, after, became).row.source
    assert set(found.recipe) == {"normalise", "split"}
    assert diff(blobs, after, after).kept == 95


def test_an_export_has_a_column_of_its_own_type_for_each_tag(blobs: MemoryBlobs, tmp_path: Path) -> None:
    tags: list[dict[str, Any]] = [
        {"n": 1, "x": 1, "mixed": 1, "deep": [1], "id": "own"},
        {"n": 2, "x": 0.5, "mixed": "a", "deep": {"k": 1}},
        {"n": None},
    ]
    write_jsonl(tmp_path / "rows.jsonl", [{"text": f"a text with number {i}", **tag} for i, tag in enumerate(tags)])
    dataset = build_dataset(blobs, tmp_path, split=SplitOptions(test=0, validation=0)).artifact.digest
    files = export(blobs, dataset, tmp_path / "out", Silent())
    assert [path.name for path in files] == ["train.parquet", "manifest.json", "croissant.json", "README.md"]
    table = pq.read_table(tmp_path / "out" / "train.parquet")
    columns = table.to_pydict()
    assert (columns["n"], columns["x"]) == ([1, 2, None], [1.0, 0.5, None])
    assert columns["mixed"] == ["1", '"a"', None]
    assert columns["deep"] == ["[1]", '{"k": 1}', None]
    assert columns["tag_id"] == ["own", None, None]
    assert columns["id"] == [row.id for row in read_rows(blobs, dataset)]


def test_an_export_overwrites_nothing(blobs: MemoryBlobs, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", make_examples(50))
    dataset = build_dataset(blobs, tmp_path).artifact.digest
    written = export(blobs, dataset, tmp_path / "out", Silent())
    assert {path.stem for path in written} == {*map(str, Split), "manifest", "croissant", "README"}
    with pytest.raises(Conflict, match="is there already"):
        export(blobs, dataset, tmp_path / "out", Silent())


@pytest.fixture
def files(tmp_path: Path) -> list[SourceFile]:
    """Three files that were written a while ago."""
    found = []
    for name in "abc":
        path = tmp_path / name
        path.write_text(f"content of {name}")
        os.utime(path, (time.time() - 60, time.time() - 60))
        found.append(SourceFile(path=path, label=name))
    return found


def test_a_fingerprint_is_that_of_names_and_contents(tmp_path: Path, files: list[SourceFile]) -> None:
    cache = tmp_path / "cache" / "digests.json"
    before = fingerprint(files, cache)
    assert fingerprint(files[::-1], cache) == before
    assert fingerprint(files[:2], cache) != before
    renamed = [*files[:2], SourceFile(path=files[2].path, label="d")]
    assert fingerprint(renamed, cache) != before
    cache.unlink()
    assert fingerprint(files, cache) == before


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, files: list[SourceFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache.json"
    before = fingerprint(files, cache)
    read: list[str] = []
    digest = module._digest

    def noting(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    monkeypatch.setattr(module, "_digest", noting)
    assert fingerprint(files, cache) == before
    assert read == []
    files[1].path.write_text("content of B")
    assert fingerprint(files, cache) != before
    assert read == ["b"]


def test_a_file_that_was_just_written_is_not_trusted(tmp_path: Path, files: list[SourceFile]) -> None:
    cache = tmp_path / "cache.json"
    path = files[0].path
    path.write_text("one")
    status = path.stat()
    before = fingerprint(files, cache)
    path.write_text("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(files, cache) != before


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": [[1], 2]}'])
def test_a_damaged_cache_costs_only_time(tmp_path: Path, files: list[SourceFile], content: bytes) -> None:
    cache = tmp_path / "cache.json"
    before = fingerprint(files, cache)
    cache.write_bytes(content)
    assert fingerprint(files, cache) == before


def test_a_file_that_cannot_be_read_has_a_fingerprint_too(tmp_path: Path, files: list[SourceFile]) -> None:
    gone = SourceFile(path=tmp_path / "gone", label="gone")
    assert fingerprint([*files, gone], tmp_path / "cache.json") != fingerprint(files, tmp_path / "other.json")
