"""`kedge data restore`: an earlier version becomes the newest again, and nothing is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kedge.app import data
from kedge.app.ingest import Ingested, IngestOptions, ingest
from kedge.app.project import Project, open_project
from kedge.app.restore import restore
from kedge.core.errors import Conflict, NotFound
from kedge.core.ledger import RunQuery
from kedge.data.read import read_dataset
from kedge.pipeline.lock import hold
from kedge.testing.data import make_examples, write_jsonl

OTHER = [*make_examples(99), *make_examples(1, begin=500)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a dataset of two versions: one row in a hundred differs."""
    (tmp_path / "kedge.toml").write_text('[project]\nname = "rows"\n')
    take(tmp_path, make_examples(100))
    take(tmp_path, OTHER)
    opened = open_project(tmp_path)
    yield opened
    opened.close()


def take(folder: Path, values: list[dict[str, Any]]) -> Ingested:
    return ingest(folder, [str(write_jsonl(folder / "rows.jsonl", values))], IngestOptions())


def stored(project: Project) -> int:
    return sum(blob.size for blob in project.blobs.list())


def test_what_is_restored_is_the_newest_and_differs_in_nothing(project: Project) -> None:
    before = stored(project)
    done = restore(project, "rows@1")
    assert (done.version, done.restored, done.made, done.rows) == ("rows@3", "rows@1", True, 100)
    assert data.resolve(project, "rows").digest == done.dataset
    found = data.diff(project, "rows@1", "rows@3")
    assert (found.added, found.removed, found.changed, found.moved, found.kept) == (0, 0, 0, 0, 100)
    assert found.recipe == {}
    assert stored(project) - before < 10_000  # a manifest and its config: no row


def test_the_log_says_what_was_restored_and_every_version_stays(project: Project) -> None:
    first = data.resolve(project, "rows@1").digest
    restore(project, "rows@1")
    newest, *older = data.log(project, "rows")
    assert newest.version.restored == first
    assert (newest.version.stage, newest.changed, newest.added, newest.removed) == ("restore-rows", 1, 0, 0)
    assert [each.version.restored for each in older] == ["", ""]


def test_a_restoration_is_audited(project: Project) -> None:
    done = restore(project, "rows@1")
    record = project.ledger.audit.records()[-1]
    assert (record.action, record.subject, record.detail["dataset"]) == ("dataset.restore", "rows", done.dataset)


def test_restoring_what_is_the_newest_changes_nothing(project: Project) -> None:
    assert not restore(project, "rows@2").made
    first = restore(project, "rows@1")
    again = restore(project, "rows@1")
    assert (again.made, again.dataset) == (False, first.dataset)
    assert len(data.log(project, "rows")) == 3


def test_what_was_restored_twice_names_the_version_that_was_made_of_files(project: Project) -> None:
    first = data.resolve(project, "rows@1").digest
    restore(project, "rows@1")
    restore(project, "rows@2")
    restore(project, "rows@3")
    assert data.resolve(project, "rows@5").restored == first


def test_the_next_ingest_of_the_same_files_says_what_differs_from_what_was_restored(project: Project) -> None:
    restore(project, "rows@1")
    taken = take(project.root, OTHER)
    newest = data.log(project, "rows")[0]
    assert newest.version.digest == taken.dataset
    assert (newest.version.address, newest.changed, newest.version.restored) == ("rows@4", 1, "")


def test_ingesting_the_files_of_what_was_restored_makes_no_version(project: Project) -> None:
    done = restore(project, "rows@1")
    assert take(project.root, make_examples(100)).dataset == done.dataset


def test_nothing_is_on_record_when_the_transaction_does_not_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = project.recorded

    @contextmanager
    def cut_off(action: str, subject: str, **detail: Any) -> Iterator[Any]:
        with recorded(action, subject, **detail) as tx:
            yield tx
            raise OSError("the power went")

    monkeypatch.setattr(project, "recorded", cut_off)
    with pytest.raises(OSError, match="the power went"):
        restore(project, "rows@1")
    assert [each.version.address for each in data.log(project, "rows")] == ["rows@2", "rows@1"]
    assert "restore-rows" not in {run.stage for run in project.ledger.runs.search(RunQuery())}


def test_a_version_whose_bytes_are_gone_is_not_restored(project: Project) -> None:
    gone = read_dataset(project.blobs, data.resolve(project, "rows@1").digest).segments[0]
    project.blobs.delete(gone.digest)
    with pytest.raises(NotFound, match="no longer stored"):
        restore(project, "rows@1")


def test_nothing_is_restored_while_another_process_makes_versions(project: Project) -> None:
    with hold(project.state / "run.lock", now=project.clock.now()), pytest.raises(Conflict):
        restore(project, "rows@1")
