"""The command line loads little, says what is wrong in words, and leaves with the code of the error's class."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kedge.cli import main as door
from kedge.cli.main import ENTRIES, Entry, main
from kedge.core import errors

HEAVY = {"torch", "numpy", "pandas", "sqlalchemy", "pyarrow", "rich", "transformers", "alembic", "cryptography"}


def stand_in(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    """Let the command `run` be one that raises."""

    @click.command("run")
    @click.option("--json", "as_json", is_flag=True)
    def command(as_json: bool) -> None:
        raise raised

    module = type(sys)("stand_in")
    module.__dict__["command"] = command
    monkeypatch.setitem(sys.modules, "stand_in", module)
    monkeypatch.setitem(door.ENTRIES, "run", Entry("stand_in", "Stand in."))


def test_help_loads_at_most_250_modules_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kedge.cli.main import main\nmain(['--help'])\n"
        "print(len(sys.modules), *sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, *names = done.stderr.split()
    assert int(count) <= 250
    assert not HEAVY & set(names)
    assert all(name in done.stdout for name in ENTRIES)


def test_every_command_of_the_line_is_listed() -> None:
    start = "init demo config run status runs show evaluate review data"
    release = "models compare gate approve promote rollout rollback"
    serve = "serve ask batch keys feedback replay pin trace audit gc"
    assert set(ENTRIES) == set(f"{start} {release} {serve}".split())


@pytest.mark.parametrize(
    "kind",
    [
        errors.NotFound,
        errors.Conflict,
        errors.Invalid,
        errors.Refused,
        errors.Unavailable,
        errors.Failed,
        errors.Broken,
    ],
)
def test_each_error_has_its_exit_code(
    kind: type[errors.KedgeError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, kind("what happened", hint="what to do\nand then"))
    assert main(["run"]) == kind.exit_code
    assert capsys.readouterr() == ("", "error: what happened\n  what to do\n  and then\n")


def test_an_error_is_one_json_object_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, errors.NotFound("no run", address="run:1", hint="kedge runs"))
    assert main(["run", "--json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {"code": "not_found", "message": "no run", "address": "run:1", "hint": "kedge runs"}
    }
    assert err == ""


def test_what_is_unexpected_is_a_bug_of_ours_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, KeyError("x"))
    assert main(["run"]) == 70
    err = capsys.readouterr().err
    assert "kedge itself failed: KeyError: 'x'" in err
    assert "Traceback" not in err
    assert main(["--debug", "run"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_package_names_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, ModuleNotFoundError("No module named 'torch'", name="torch.nn"))
    assert main(["run"]) == errors.Missing.exit_code
    assert capsys.readouterr().err == "error: torch is not installed\n  pip install 'kedge[train]'\n"


def test_a_full_disk_is_not_our_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    assert main(["run"]) == errors.Unavailable.exit_code
    assert "No space left on device" in capsys.readouterr().err


def test_ctrl_c_leaves_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, KeyboardInterrupt())
    assert main(["run"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["promot"], "no command is called 'promot'", "did you mean 'promote'?"),
        (["--projct"], "No such option", "kedge --help"),
        (["runs", "--limit", "none"], "Invalid value for '--limit'", "kedge runs --help"),
    ],
)
def test_wrong_words_leave_with_2(
    words: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert hint in err


def test_outside_a_project_the_way_in_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(tmp_path), "runs"]) == 4
    assert "kedge init" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "kedge", "--help"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.stderr == ""
