"""What is kept of rows as numbers, beside packs and segments, decides nothing that the rows themselves do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kedge.core.errors import Broken
from kedge.core.ports import Silent
from kedge.data import split as module
from kedge.data.build import build
from kedge.data.ingest import ingest
from kedge.data.keyed import keyed
from kedge.data.numbers import NUMBERS, column_of
from kedge.data.records import read_before, read_records
from kedge.data.stage import BATCH
from kedge.data.types import BuildResult, SplitOptions
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import make_examples, make_request, write_jsonl


def make(blobs: MemoryBlobs, root: Path, examples: list[dict[str, Any]], **options: Any) -> BuildResult:
    """A version of these rows, in a project that keeps what it read."""
    write_jsonl(root / "rows.jsonl", examples)
    request = make_request(**options)
    return build(request, root=root, folder=root / "work", blobs=blobs, progress=Silent(), cache=root / "cache")


def files(root: Path) -> set[str]:
    """The files of records that are kept."""
    return {path.name for path in (root / "cache" / "records").iterdir()}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For how many clusters splits are drawn."""
    counts: list[int] = []
    fall_all = module.fall_all

    def counting(groups: list[str], options: SplitOptions) -> Any:
        counts.append(len(groups))
        return fall_all(groups, options)

    monkeypatch.setattr("kedge.data.divide.fall_all", counting)
    return counts


def test_only_new_clusters_are_drawn_and_fall_as_they_would_alone(
    blobs: MemoryBlobs, tmp_path: Path, drawn: list[int]
) -> None:
    first = make(blobs, tmp_path, make_examples(200))
    assert sum(drawn) == 200
    drawn.clear()
    more = [*make_examples(195), *make_examples(20, begin=300)]
    second = make(blobs, tmp_path, more, parent=first.artifact.digest)
    assert sum(drawn) == 20
    alone = make(MemoryBlobs(), tmp_path, more)
    assert second.manifest.rows_digest == alone.manifest.rows_digest
    assert second.manifest.profile == alone.manifest.profile


def test_other_options_draw_anew(blobs: MemoryBlobs, tmp_path: Path, drawn: list[int]) -> None:
    first = make(blobs, tmp_path, make_examples(200))
    drawn.clear()
    split = SplitOptions(seed=7)
    second = make(blobs, tmp_path, make_examples(200), parent=first.artifact.digest, split=split)
    assert sum(drawn) == 200
    assert (
        second.manifest.rows_digest
        == make(MemoryBlobs(), tmp_path, make_examples(200), split=split).manifest.rows_digest
    )


def test_rows_that_an_older_version_drew_otherwise_fall_as_they_would_alone(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = make(blobs, tmp_path, make_examples(200))
    seeded = SplitOptions(seed=7)
    second = make(blobs, tmp_path, make_examples(200), parent=first.artifact.digest, split=seeded)
    assert any(segment.deleted for segment in second.manifest.segments)
    more = make_examples(210)
    third = make(blobs, tmp_path, more, parent=second.artifact.digest, split=seeded)
    assert third.manifest.rows_digest == make(MemoryBlobs(), tmp_path, more, split=seeded).manifest.rows_digest


@pytest.mark.parametrize("damage", ["gone", "empty", "short", "zeros"])
def test_records_that_are_gone_or_damaged_cost_only_time(blobs: MemoryBlobs, tmp_path: Path, damage: str) -> None:
    first = make(blobs, tmp_path, make_examples(200))
    for path in (tmp_path / "cache" / "records").iterdir():
        data = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({"empty": b"", "short": data[:-8], "zeros": data[:128] + bytes(len(data) - 128)}[damage])
    more = make_examples(220)
    second = make(blobs, tmp_path, more, parent=first.artifact.digest)
    assert second.manifest.rows_digest == make(MemoryBlobs(), tmp_path, more).manifest.rows_digest


def test_what_is_kept_is_what_the_segments_say(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = make(blobs, tmp_path, make_examples(200))
    before = read_before(blobs, first.artifact.digest, tmp_path / "cache" / "records")
    for segment, kept in zip(before.manifest.segments, before.records, strict=True):
        read = read_records(blobs, segment)
        assert kept.same(np.arange(segment.rows), read).all()


def test_only_the_records_of_the_newest_version_stay(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = make(blobs, tmp_path, make_examples(200))
    assert len(files(tmp_path)) == len(first.manifest.segments)
    second = make(blobs, tmp_path, make_examples(30, begin=900), parent=first.artifact.digest)
    assert {name.split("-")[1].removesuffix(".npy") for name in files(tmp_path)} == {
        segment.digest.removeprefix("sha256:") for segment in second.manifest.segments
    }


def test_the_numbers_of_all_packs_are_those_of_the_rows(tmp_path: Path) -> None:
    for name, begin in (("a", 0), ("b", 50), ("c", 70)):
        write_jsonl(tmp_path / f"{name}.jsonl", make_examples(25, begin=begin))
    sources = make_request("*.jsonl").sources
    ingest(sources, tmp_path, Silent(), cache=tmp_path / "cache")
    write_jsonl(tmp_path / "aa.jsonl", make_examples(3, begin=500))  # a pack of its own, between the others
    (tmp_path / "b.jsonl").unlink()
    rows = ingest(sources, tmp_path, Silent(), cache=tmp_path / "cache")
    for name in NUMBERS.fields or ():
        seen = np.concatenate([column_of(keyed(batch), name) for batch in rows.scan(BATCH.names)])
        assert (rows.numbers(name) == seen).all()
        assert len(seen) == 53


def test_numbers_that_are_not_whole_are_told(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", make_examples(25))
    rows = ingest(make_request("*.jsonl").sources, tmp_path, Silent(), cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.numbers")
    for size in (56 * 24, 56 * 25 - 3):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(Broken, match=r"\.numbers is damaged"):
            rows.numbers("id")


def test_tags_are_counted_alike_whether_or_not_they_are_read(blobs: MemoryBlobs, tmp_path: Path) -> None:
    few = [{"text": f"one text {n}", "kind": n % 3} for n in range(40)]
    many = [{"text": f"another text {n}", "kind": n % 3, "number": n} for n in range(40)]
    for name, rows in (("few", few), ("many", many), ("twice", few[:5])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = make_request("*.jsonl")
    result = build(request, root=tmp_path, folder=tmp_path / "work", blobs=blobs, progress=Silent())
    tags = result.manifest.profile["tags"]
    assert tags["kind"]["top"] == [["0", 28], ["1", 26], ["2", 26]]
    assert tags["number"]["rows"] == tags["number"]["distinct"] == 40
