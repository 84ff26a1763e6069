"""The steps `dataset` and `index` in a pipeline, on real source files."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest
from tests.integration.data.conftest import Line

from kedge.app import data, runs
from kedge.app.project import open_project
from kedge.core.dataset import Split
from kedge.core.errors import Invalid, KedgeError
from kedge.data.read import read_dataset, read_rejects


def test_the_line_is_up_to_date_when_it_has_run(line: Line) -> None:
    plan = runs.explain(line.project)
    assert [step.action for step in plan.steps] == ["skip", "skip"]


def test_every_function_is_a_row_or_a_reject(line: Line) -> None:
    functions = 0
    for path in (line.project.root / "library").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_bytes()))
        functions += sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)
    manifest = read_dataset(line.project.blobs, line.dataset)
    assert functions > 2000
    assert manifest.rows + sum(manifest.rejects.values()) == functions
    assert set(manifest.rejects) <= {"duplicate:exact", "leak:name", "leak:cluster"}


def test_names_and_modules_held_out_are_not_trained_on(line: Line) -> None:
    train, test, validation = (line.rows(split) for split in (Split.TRAIN, Split.TEST, Split.VALIDATION))
    assert len(train) > 1000
    assert len(test) > 50
    assert len(validation) > 10
    for tag in ("name", "module"):
        values = [{row.tags[tag] for row in rows} for rows in (train, test, validation)]
        assert not values[0] & values[1]
        assert not values[0] & values[2]
        assert not values[1] & values[2]


def test_a_row_stands_where_its_source_says(line: Line) -> None:
    for row in line.rows(Split.TEST)[:50]:
        path, _, number = row.source.rpartition(":")
        text = (line.project.root / path).read_text(encoding="utf-8").splitlines()[int(number) - 1]
        assert f"def {row.tags['name']}" in text
        assert json.loads(row.target)["name"] == row.tags["name"]


def test_the_same_files_give_the_same_digests_in_another_project(line: Line, tmp_path: Path) -> None:
    for name in ("library", "kedge.toml"):
        source = line.project.root / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    project = open_project(tmp_path)
    outputs = runs.run(project).outputs
    project.close()
    assert (outputs["data"]["dataset"], outputs["index"]["index"]) == (line.dataset, line.index)


def test_a_changed_file_is_noticed_and_makes_a_new_version(line: Line, tmp_path: Path) -> None:
    shutil.copytree(line.project.root / "library" / "json", tmp_path / "library" / "json")
    shutil.copyfile(line.project.root / "kedge.toml", tmp_path / "kedge.toml")
    project = open_project(tmp_path)
    first = runs.run(project, stages=["data"]).outputs["data"]["dataset"]
    with (tmp_path / "library" / "json" / "scanner.py").open("a") as file:
        file.write("\ndef a_function_nobody_wrote_before(first, second): ...\n")
    second = runs.run(project, stages=["data"]).outputs["data"]["dataset"]
    versions = data.listing(project)
    assert [(v.address, v.digest, v.parent) for v in versions] == [
        ("library@1", first, ""),
        ("library@2", second, first),
    ]
    found = data.diff(project, "library@1", "library")
    project.close()
    assert (found.added, found.removed) == (1, 0)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{ name = "jsonx", path = "a" }', "no source is called 'jsonx'"),
        ('{ name = "jsonl", pathh = "a" }', "has no option 'pathh'"),
        ('{ name = "jsonl", path = 5 }', "source 'jsonl'"),
        ('{ name = "jsonl", path = "none.jsonl" }', "no such file or folder"),
        ('{ path = "a" }', "a source needs a name"),
        ("{}", "a dataset needs a source"),
    ],
)
def test_a_wrong_source_is_refused_before_anything_runs(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "kedge.toml").write_text(f'[stages.data]\nstep = "dataset"\nsource = {source}\n')
    project = open_project(tmp_path)
    with pytest.raises(KedgeError, match=said):
        runs.run(project)
    assert runs.listing(project) == []
    project.close()


def test_a_dataset_without_a_row_fails_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("nonsense\n")
    (tmp_path / "kedge.toml").write_text(
        '[stages.data]\nstep = "dataset"\nsource = { name = "jsonl", path = "rows.jsonl" }\n'
    )
    project = open_project(tmp_path)
    with pytest.raises(KedgeError, match="no row is left: 1 json"):
        runs.run(project)
    project.close()


def test_rejects_are_kept_beside_the_rows(line: Line) -> None:
    rejects = read_rejects(line.project.blobs, line.dataset)
    view = data.rejects(line.project, "library", reason="leak", limit=3)
    assert view.total == sum(reject.reason.startswith("leak:") for reject in rejects)
    assert len(view.rejects) == 3
    shown = data.show(line.project, view.rejects[0].row)
    assert isinstance(shown, data.RowView)
    assert shown.reject == view.rejects[0]


def test_a_row_and_a_dataset_are_shown_by_name_digest_and_id(line: Line) -> None:
    row = line.rows(Split.TRAIN)[7]
    shown = data.show(line.project, row.id)
    assert isinstance(shown, data.RowView)
    assert (shown.row, shown.split, shown.datasets) == (row, Split.TRAIN, (line.dataset,))
    for address in ("library", "library@1", line.dataset, line.dataset[7:20]):
        view = data.show(line.project, address)
        assert isinstance(view, data.DatasetView)
        assert view.version.digest == line.dataset
    for wrong in ("none", "library@2", "f" * 32):
        with pytest.raises(KedgeError):
            data.show(line.project, wrong)
    with pytest.raises(Invalid, match="no aliases"):
        data.show(line.project, "library@newest")
