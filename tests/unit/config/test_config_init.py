"""`kedge init` makes a project of a folder and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kedge.app.initialise import initialise
from kedge.app.steps import load_steps
from kedge.config import load_config
from kedge.core.errors import Conflict, Invalid


def rows(folder: Path, **row: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")


def test_the_written_file_is_read_without_a_mistake(tmp_path: Path) -> None:
    made = initialise(tmp_path / "My Models!")
    config = load_config(Path(made.folder) / "kedge.toml")
    steps = load_steps()
    for name, stage in config.stages.items():
        assert config.options(name, steps.get(stage.step).options)
    assert made.name == config.project.name == "my-models"
    assert config.endpoints["my-models"].model == "my-models"
    assert (tmp_path / "My Models!" / ".gitignore").read_text() == ".kedge/\n"


def test_fields_with_names_of_their_own_are_named(tmp_path: Path) -> None:
    rows(tmp_path, frage="a", antwort="b")
    initialise(tmp_path, name="x")
    source = load_config(tmp_path / "kedge.toml").stages["data"].options["source"]
    assert source == {"name": "jsonl", "path": "rows.jsonl", "input": "frage", "target": "antwort"}


def test_fields_that_are_known_are_not(tmp_path: Path) -> None:
    rows(tmp_path, prompt="a", completion="b")
    initialise(tmp_path, name="x")
    assert "input" not in load_config(tmp_path / "kedge.toml").stages["data"].options["source"]


def test_a_project_is_not_overwritten(tmp_path: Path) -> None:
    initialise(tmp_path)
    before = (tmp_path / "kedge.toml").read_text()
    with pytest.raises(Conflict):
        initialise(tmp_path, name="other")
    assert (tmp_path / "kedge.toml").read_text() == before


def test_data_that_is_not_json_lines_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("a,b\n1,2\n")
    with pytest.raises(Invalid, match=r"rows.jsonl:1: not a line of JSON"):
        initialise(tmp_path)
    assert not (tmp_path / "kedge.toml").exists()


def test_what_git_ignores_is_added_to_once(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc")
    assert initialise(tmp_path).written == ("kedge.toml", ".gitignore")
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n.kedge/\n"
    (tmp_path / "kedge.toml").unlink()
    assert initialise(tmp_path).written == ("kedge.toml",)
