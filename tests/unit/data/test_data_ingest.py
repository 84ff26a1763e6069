"""Files are read in order, in as many processes as are worth it, and none stops the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kedge.core.errors import Conflict, Invalid
from kedge.core.ports import Silent
from kedge.data import ingest as module
from kedge.data.ingest import ingest
from kedge.data.sources.jsonl import SOURCE, JsonlOptions
from kedge.data.types import BoundSource
from kedge.testing.data import make_examples, make_request, write_jsonl
from kedge.testing.progress import RecordingProgress


def make_folder(root: Path, files: int) -> BoundSource:
    (root / "d").mkdir()
    for i in range(files):
        write_jsonl(root / "d" / f"{i:03}.jsonl", make_examples(3, begin=i * 3))
    return BoundSource(source=SOURCE, options=JsonlOptions(path="d"))


def test_several_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_folder(tmp_path, 40)
    one = ingest([source], tmp_path, Silent())
    monkeypatch.setattr(module, "WORTHWHILE", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert ingest([source], tmp_path, Silent()) == one
    assert len(one.rows) == 120


def test_progress_counts_files(tmp_path: Path) -> None:
    progress = RecordingProgress()
    ingest([make_folder(tmp_path, 5)], tmp_path, progress)
    assert [(task.label, task.total, task.done) for task in progress.tasks] == [("reading files", 5, 5)]
    assert progress.tasks[0].facts == [{"rows": 15, "quarantined": 0}]


def test_a_file_that_cannot_be_read_is_a_reject(tmp_path: Path) -> None:
    source = make_folder(tmp_path, 2)
    os.mkfifo(tmp_path / "d" / "pipe.jsonl")
    (tmp_path / "d" / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    found = ingest([source], tmp_path, Silent())
    assert len(found.rows) == 6
    assert [(reject.source, reject.reason) for reject in found.rejects] == [
        ("d/gone.jsonl", "unreadable"),
        ("d/pipe.jsonl", "unreadable"),
    ]


def test_the_same_row_under_the_same_name_counts_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_jsonl(tmp_path / folder / "rows.jsonl", make_examples(2))
    paths = tuple(str(tmp_path / folder / "rows.jsonl") for folder in ("a", "b"))
    found = ingest([BoundSource(source=SOURCE, options=JsonlOptions(path=paths))], tmp_path, Silent())
    assert len(found.rows) == 2
    assert [reject.reason for reject in found.rejects] == ["duplicate:id"] * 2


def test_a_file_that_changes_while_it_is_read_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", make_examples(2))
    parse = module._reader("kedge.data.sources.jsonl:read")

    def slow(file: object, options: object) -> object:
        found = list(parse(file, options))  # type: ignore[arg-type]  # handed through
        path.write_text("other")
        return found

    monkeypatch.setattr(module, "_reader", lambda _: slow)
    with pytest.raises(Conflict, match="changed while it was read"):
        ingest(make_request().sources, tmp_path, Silent())


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid, match="finds no file"):
        ingest([BoundSource(source=SOURCE, options=JsonlOptions(path="empty"))], tmp_path, Silent())
