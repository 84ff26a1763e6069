"""The same input gives the same dataset; a new version keeps what the old one has."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.core.manifest import read_manifest
from kedge.core.ports import Silent
from kedge.data import segments
from kedge.data.build import build
from kedge.data.locate import find_row
from kedge.data.read import read_dataset, read_rejects, read_rows
from kedge.data.types import BuildResult, DuplicateOptions, SplitOptions
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, make_examples, make_request, write_jsonl


@pytest.fixture
def built(blobs: MemoryBlobs, tmp_path: Path) -> BuildResult:
    """A dataset of 200 questions, ten of them twice, and a bad line."""
    write_jsonl(tmp_path / "rows.jsonl", [*make_examples(200), *make_examples(10), {"nothing": 1}])
    return build_dataset(blobs, tmp_path)


def ids(blobs: MemoryBlobs, dataset: str, split: Split | None = None) -> list[str]:
    return [row.id for row in read_rows(blobs, dataset, split)]


def test_rows_rejects_and_profile_add_up(blobs: MemoryBlobs, built: BuildResult) -> None:
    manifest = built.manifest
    assert manifest.rows == 200 == len(ids(blobs, built.artifact.digest))
    assert manifest.rejects == {"duplicate:exact": 10, "missing-input": 1}
    assert sum(manifest.profile["splits"].values()) == 200
    assert manifest.profile["splits"] == {str(split): len(ids(blobs, built.artifact.digest, split)) for split in Split}
    assert manifest.profile["tags"]["even"]["top"] == [["false", 100], ["true", 100]]
    assert manifest.profile["input_chars"]["max"] >= manifest.profile["input_chars"]["median"] > 20
    assert read_dataset(blobs, built.artifact.digest) == manifest


def test_rejects_keep_the_ids_of_their_rows(blobs: MemoryBlobs, built: BuildResult) -> None:
    rejects = read_rejects(blobs, built.artifact.digest)
    assert [reject.row for reject in rejects if reject.reason == "missing-input"] == [""]
    dropped = {reject.row for reject in rejects if reject.reason == "duplicate:exact"}
    assert len(dropped) == 10
    assert dropped.isdisjoint(ids(blobs, built.artifact.digest))


def test_the_digest_is_the_same_in_any_folder_and_store(tmp_path: Path, built: BuildResult) -> None:
    other = tmp_path / "elsewhere" / "deeper"
    other.mkdir(parents=True)
    shutil.copyfile(tmp_path / "rows.jsonl", other / "rows.jsonl")
    assert build_dataset(MemoryBlobs(), other).artifact == built.artifact


def test_the_digest_covers_every_row(tmp_path: Path, built: BuildResult) -> None:
    text = (tmp_path / "rows.jsonl").read_text()
    (tmp_path / "rows.jsonl").write_text(text.replace('"target": "157"', '"target": "other"'))
    changed = build_dataset(MemoryBlobs(), tmp_path)
    assert changed.manifest.rows_digest != built.manifest.rows_digest
    assert changed.artifact.digest != built.artifact.digest


def test_the_digest_covers_the_recipe(blobs: MemoryBlobs, tmp_path: Path, built: BuildResult) -> None:
    changed = build_dataset(blobs, tmp_path, duplicates=DuplicateOptions(near=0.9))
    assert changed.artifact.digest != built.artifact.digest
    assert changed.manifest.rows_digest == built.manifest.rows_digest


def test_texts_of_every_kind_come_back(blobs: MemoryBlobs, tmp_path: Path) -> None:
    text = '日本語 \N{GRINNING FACE} \u2028 \x1f quote" back\\slash\ttab'
    tags = {"n": 1, "f": 0.5, "none": None, "list": [1, {"deep": "é"}], "text": "x"}
    write_jsonl(tmp_path / "rows.jsonl", [{"input": text, "target": text, **tags}])
    (row,) = read_rows(blobs, build_dataset(blobs, tmp_path).artifact.digest)
    assert (row.input, row.target, row.tags, row.source) == (text, text, tags, "rows.jsonl:1")


def test_segments_stay_under_their_limit_and_keep_the_order(
    blobs: MemoryBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 40_000)
    monkeypatch.setattr(segments, "GROUP_ROWS", 16)
    write_jsonl(tmp_path / "rows.jsonl", make_examples(500))
    split = SplitOptions(test=0, validation=0)
    result = build_dataset(blobs, tmp_path, split=split)
    assert len(result.manifest.segments) > 2
    assert all(segment.bytes < 40_000 for segment in result.manifest.segments)
    rows = list(read_rows(blobs, result.artifact.digest))
    assert [row.target for row in rows] == [str(i) for i in range(500)]
    assert find_row(blobs, result.artifact.digest, rows[321].id).row == rows[321]


def test_a_dataset_may_be_empty(blobs: MemoryBlobs, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("nonsense\n")
    result = build_dataset(blobs, tmp_path)
    assert (result.manifest.rows, result.manifest.rejects) == (0, {"json": 1})
    assert list(read_rows(blobs, result.artifact.digest)) == []


def test_what_is_no_dataset_is_refused(blobs: MemoryBlobs, built: BuildResult) -> None:
    assert read_manifest(blobs, built.artifact.digest).kind == "dataset"
    model = blobs.put(
        blobs.get(built.artifact.digest).replace(b'"dev.kedge.kind":"dataset"', b'"dev.kedge.kind":"report"')
    )
    with pytest.raises(Invalid, match="is a report, not a dataset"):
        read_dataset(blobs, model)


def test_a_new_version_writes_only_new_rows(blobs: MemoryBlobs, tmp_path: Path, built: BuildResult) -> None:
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    lines[5], lines[7] = '{"input": "a changed question", "target": "1"}', ""
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, '{"input": "a fresh question", "target": "2"}']))
    result = build_dataset(blobs, tmp_path, parent=built.artifact.digest)
    assert result.manifest.parent == built.artifact.digest
    old = {segment.digest for segment in built.manifest.segments}
    kept = [segment for segment in result.manifest.segments if segment.digest in old]
    new = [segment for segment in result.manifest.segments if segment.digest not in old]
    assert {segment.digest for segment in kept} == old
    assert sum(len(segment.deleted) for segment in kept) == 2
    assert sum(segment.rows for segment in new) <= 4
    alone = build_dataset(MemoryBlobs(), tmp_path)
    assert result.manifest.rows_digest == alone.manifest.rows_digest
    assert result.manifest.rows == alone.manifest.rows == len(ids(blobs, result.artifact.digest))
    assert len({segment.title for segment in result.manifest.segments}) == len(result.manifest.segments)


def test_rows_are_found_by_id_across_old_and_new_segments(
    blobs: MemoryBlobs, tmp_path: Path, built: BuildResult
) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [*make_examples(190), *make_examples(15, begin=500)])
    result = build_dataset(blobs, tmp_path, parent=built.artifact.digest)
    for row in read_rows(blobs, result.artifact.digest):
        assert find_row(blobs, result.artifact.digest, row.id).row == row


def test_a_version_that_says_nothing_new_is_its_parent(blobs: MemoryBlobs, tmp_path: Path, built: BuildResult) -> None:
    assert build_dataset(blobs, tmp_path, parent=built.artifact.digest) == built


def test_a_segment_that_has_lost_most_rows_is_written_anew(
    blobs: MemoryBlobs, tmp_path: Path, built: BuildResult
) -> None:
    write_jsonl(tmp_path / "rows.jsonl", make_examples(40))
    result = build_dataset(blobs, tmp_path, parent=built.artifact.digest)
    assert all(not segment.deleted for segment in result.manifest.segments)


def test_sources_are_read_one_after_the_other(blobs: MemoryBlobs, tmp_path: Path) -> None:
    for i, name in enumerate(("a", "b")):
        write_jsonl(tmp_path / f"{name}.jsonl", make_examples(3, begin=i * 3))
    both = (*make_request("b.jsonl").sources, *make_request("a.jsonl").sources)
    request = replace(make_request(split=SplitOptions(test=0, validation=0)), sources=both)
    result = build(request, root=tmp_path, folder=tmp_path / "w", blobs=blobs, progress=Silent())
    sources = [row.source for row in read_rows(blobs, result.artifact.digest)]
    assert sources == [f"{name}.jsonl:{line}" for name in "ba" for line in (1, 2, 3)]
