"""Files are read in order, in as many processes as are worth it, and none stops the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kedge.core.dataset import Reject
from kedge.core.errors import Conflict, Invalid
from kedge.core.ports import Progress, Silent
from kedge.data import ingest as module
from kedge.data import parts
from kedge.data.build import build
from kedge.data.ingest import ingest
from kedge.data.sources.jsonl import SOURCE, JsonlOptions
from kedge.data.stage import BATCH
from kedge.data.types import BoundSource
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import make_examples, make_request, write_jsonl
from kedge.testing.progress import RecordingProgress

SILENT = Silent()


def make_folder(root: Path, files: int) -> BoundSource:
    (root / "d").mkdir()
    for i in range(files):
        write_jsonl(root / "d" / f"{i:03}.jsonl", make_examples(3, begin=i * 3))
    return BoundSource(source=SOURCE, options=JsonlOptions(path="d"))


def read(sources: Sequence[BoundSource], root: Path, progress: Progress = SILENT) -> tuple[list[Any], list[Reject]]:
    """The rows and rejects that a first reading gives."""
    found = ingest(sources, root, progress, cache=root / f"cache-{len(list(root.glob('cache-*')))}")
    rows = [row for batch in found.scan(BATCH.names) for row in batch.to_pylist()]
    return rows, list(found.rejects())


def test_several_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_folder(tmp_path, 40)
    one = read([source], tmp_path)
    monkeypatch.setattr(module, "WORTHWHILE", 0)
    monkeypatch.setattr(module, "PACK_PARTS", 7)
    monkeypatch.setattr(module, "cores", lambda: 2)
    assert read([source], tmp_path) == one
    assert len(one[0]) == 120


def test_progress_counts_files(tmp_path: Path) -> None:
    progress = RecordingProgress()
    read([make_folder(tmp_path, 5)], tmp_path, progress)
    assert [(task.label, task.total, task.done) for task in progress.tasks] == [("reading files", 5, 5)]


def test_a_file_that_cannot_be_read_is_a_reject(tmp_path: Path) -> None:
    source = make_folder(tmp_path, 2)
    os.mkfifo(tmp_path / "d" / "pipe.jsonl")
    (tmp_path / "d" / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    rows, rejects = read([source], tmp_path)
    assert len(rows) == 6
    assert [(reject.source, reject.reason) for reject in rejects] == [
        ("d/gone.jsonl", "unreadable"),
        ("d/pipe.jsonl", "unreadable"),
    ]


def test_the_same_row_under_the_same_name_counts_once(blobs: MemoryBlobs, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_jsonl(tmp_path / folder / "rows.jsonl", make_examples(2))
    paths = tuple(str(tmp_path / folder / "rows.jsonl") for folder in ("a", "b"))
    request = replace(make_request(), sources=(BoundSource(source=SOURCE, options=JsonlOptions(path=paths)),))
    made = build(request, root=tmp_path, folder=tmp_path / "w", blobs=blobs, progress=Silent())
    assert (made.manifest.rows, made.manifest.rejects) == (2, {"duplicate:id": 2})


def test_a_file_that_changes_while_it_is_read_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", make_examples(2))
    parse = module.find_reader("kedge.data.sources.jsonl:read")

    def slow(file: object, options: object) -> object:
        found = list(parse(file, options))  # type: ignore[arg-type]  # handed through
        path.write_text("other")
        return found

    monkeypatch.setattr(module, "find_reader", lambda _: slow)
    with pytest.raises(Conflict, match="changed while it was read"):
        read(make_request().sources, tmp_path)


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_folder(tmp_path, 6)
    first = ingest([source], tmp_path, SILENT, cache=tmp_path / "cache")
    taken: list[str] = []

    def noting(readings: Sequence[module.Reading]) -> Any:
        taken.extend(part.file.label for reading in readings for _, part in reading.parts)
        return module.read_all(readings)

    write_jsonl(tmp_path / "d" / "003.jsonl", make_examples(2, begin=900))
    write_jsonl(tmp_path / "d" / "010.jsonl", make_examples(1, begin=950))
    found = ingest([source], tmp_path, SILENT, cache=tmp_path / "cache", mapper=noting)
    assert taken == ["d/003.jsonl", "d/010.jsonl"]
    assert (len(first), len(found)) == (18, 18)
    again = ingest([source], tmp_path, SILENT, cache=tmp_path / "other")
    assert [b.to_pylist() for b in again.scan(["id"])] == [b.to_pylist() for b in found.scan(["id"])]


def test_large_files_are_read_in_parts_under_the_names_they_have_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", make_examples(300))
    path.write_bytes(path.read_bytes() + b"not json\n" + b'{"input": "the last line"}')
    whole = read(make_request().sources, tmp_path)
    monkeypatch.setattr(parts, "PART", 1000)
    assert len(parts.cut(make_request().sources, tmp_path, tmp_path / "c")) > 10
    assert read(make_request().sources, tmp_path) == whole


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid, match="finds no file"):
        read([BoundSource(source=SOURCE, options=JsonlOptions(path="empty"))], tmp_path)
