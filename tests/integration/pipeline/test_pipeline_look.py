"""What is on record can be looked at: the quick look equals the ledger, and the commands show what is there."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.integration.pipeline.conftest import LINE, Open

from kedge.app import configuration, runs
from kedge.app.show import ArtifactView, RunView, show
from kedge.cli.main import main
from kedge.core.errors import NotFound
from kedge.store.ledger.peek import Peek, Unanswered


def test_a_quick_look_answers_as_the_ledger_does(open_tiny: Open) -> None:
    project = open_tiny()
    runs.run(project)
    peek = Peek(project.config.store.ledger)
    for run in runs.listing(project):
        assert peek.succeeded(run.key) == project.ledger.runs.succeeded(run.key) == run
    assert peek.succeeded("sha256:none") is None
    assert not peek.any_running()
    peek.close()


def test_a_quick_look_does_not_answer_what_it_cannot_know(tmp_path: Path) -> None:
    with pytest.raises(Unanswered):
        Peek("postgresql+psycopg://host/db")
    with pytest.raises(Unanswered):
        Peek(f"sqlite:///{tmp_path}/absent.db")
    sqlite3.connect(tmp_path / "other.db").close()
    (tmp_path / "damaged.db").write_bytes(b"not a database at all, but long enough to look like one" * 20)
    for name in ("other.db", "damaged.db"):
        peek = Peek(f"sqlite:///{tmp_path / name}")
        with pytest.raises(Unanswered):
            peek.succeeded("sha256:none")
        peek.close()


def test_a_thing_is_found_by_any_of_its_names(open_tiny: Open) -> None:
    project = open_tiny()
    made = runs.run(project).outputs["third"]["report"]
    run = runs.show(project, "third").run
    for name in ("third", run.id, run.id[:6]):
        view = show(project, name)
        assert isinstance(view, RunView)
        assert view.run == run
    for name in (made, made.removeprefix("sha256:")[:12]):
        artifact = show(project, name)
        assert isinstance(artifact, ArtifactView)
        assert artifact.config == {"total": 111}
        assert [layer.title for layer in artifact.layers] == ["total.txt"]
        assert artifact.made_by == (run,)
    with pytest.raises(NotFound, match="nothing is called 'nonsense'"):
        show(project, "nonsense")


def test_defaults_of_a_step_are_settings_too(open_tiny: Open) -> None:
    settings = {each.key: (each.value, each.origin) for each in configuration.show(open_tiny()).settings}
    assert settings["stages.second.value"] == (10, "kedge.toml:11")
    assert settings["stages.second.units"] == (2, "default")
    assert settings["stages.second.inner"] == ({"depth": 1}, "default")


def test_the_commands_show_what_is_there(open_tiny: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(open_tiny(LINE.replace("value = 1\n", "value = 1\nunits = 5\n")))
    here = ["-C", str(tmp_path)]
    assert main([*here, "runs", "--where", "stage = 'first'", "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["metrics"] == {"loss": 0.2, "total": 1.0}
    assert main([*here, "runs", "--order", "metrics.total"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(run["id"])
    assert main([*here, "show", run["id"]]) == 0
    shown = capsys.readouterr().out
    assert "█" in shown
    assert "units" in shown
    assert main([*here, "show", run["id"], "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["curves"]["loss"]) == 5
    assert main([*here, "runs", "--where", "nonsense ="]) == 2


def test_the_run_command_leaves_with_the_code_of_the_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kedge.toml").write_text('[stages.only]\nstep = "absent"\n')
    assert main(["-C", str(tmp_path), "run", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "kedge.toml:2: no step is called 'absent'"
    (tmp_path / "kedge.toml").write_text("")
    assert main(["-C", str(tmp_path), "run"]) == 2
    assert "has no stages" in capsys.readouterr().err
