"""A project of tiny steps: three stages in a row, and its processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kedge.app.project import Project, open_project

HERE = Path(__file__).parent
LINE = """
[project]
name = "tiny"

[stages.first]
step = "count"
value = 1

[stages.second]
step = "add"
value = 10

[stages.third]
step = "add"
value = 100
"""

Open = Callable[..., Project]
Drive = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def open_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open the project in the test's folder, written first if need be, with the tiny steps."""
    monkeypatch.syspath_prepend(str(HERE))
    opened: list[Project] = []

    def make(text: str = LINE, **options: Any) -> Project:
        (tmp_path / "kedge.toml").write_text(text)
        project = open_project(tmp_path, **options)
        project.steps = import_module("tinysteps").load()
        opened.append(project)
        return project

    yield make
    for project in opened:
        project.close()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """Start a pipeline of the test's folder in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*sets: str) -> subprocess.Popen[str]:
        words = [word for each in sets for word in ("--set", each)]
        process = subprocess.Popen(
            [sys.executable, str(HERE / "drive.py"), str(tmp_path), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def units(folder: Path) -> list[str]:
    """Every unit of work that was done, in order."""
    log = folder / "units.log"
    return log.read_text().splitlines() if log.exists() else []
