"""A project with a gate, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kedge.app.project import Project, open_project
from kedge.cli.main import main
from kedge.testing.clock import FixedClock
from kedge.testing.judged import Yard

TOML = """
[project]
name = "sums"

[stages.gate]
step = "gate"
inputs = {{ evaluation = "evaluate", dataset = "data", bundle = "bundle" }}
{gate}

[stages.register]
step = "register"
model = "sums"

[endpoints.sums]
model = "sums"
"""
CONSTANT = 'rules = [{ metric = "exact_match", at_least = 0.55 }]'
START = datetime(2026, 3, 3, 10, tzinfo=UTC)


@pytest.fixture
def make_yard(tmp_path: Path) -> Iterator[Callable[..., Yard]]:
    """Makes the project with a gate, or opens it as somebody else."""
    opened: list[Project] = []
    clock = FixedClock(START, tick=1.0)

    def make(gate: str = CONSTANT, *, principal: str = "user:ada") -> Yard:
        file = tmp_path / "kedge.toml"
        if not file.exists():
            file.write_text(TOML.format(gate=gate))
        opened.append(open_project(tmp_path, clock=clock, principal=principal))
        folder = tmp_path / "empty"
        folder.mkdir(exist_ok=True)
        yard = Yard(project=opened[-1], folder=folder)
        yard.set_gate()
        return yard

    yield make
    for project in opened:
        project.close()


@pytest.fixture
def kedge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs one command with `--json` and gives what it printed, after checking its exit code."""

    def run(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        found = main(["-C", str(tmp_path), *words, "--json"])
        out, err = capsys.readouterr()
        assert found == code, f"{words}: {found}\n{out}\n{err}"
        return json.loads(out)

    return run
