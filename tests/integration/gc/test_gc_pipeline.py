"""Garbage collection beside real pipelines: what the next run would use stays, and a running one loses nothing."""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kedge.app import gc, runs
from kedge.app.project import open_project
from kedge.core.manifest import read_config

Yard = Any

LINE = """
[stages.first]
step = "count"
value = {value}
seconds = {seconds}

[stages.second]
step = "add"
value = 10
seconds = {seconds}
"""


@pytest.fixture
def line(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """A project of two stages; `configure` takes the text of `LINE`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    configure = yard.configure

    def with_steps(value: int, seconds: float = 0.0) -> None:
        configure(LINE.format(value=value, seconds=seconds))
        yard.project.steps = import_module("countingsteps").load()

    yard.configure = with_steps
    return yard


def numbers(yard: Yard) -> list[int]:
    return sorted(read_config(yard.project.blobs, digest).get("number", 0) for digest in yard.recorded())


def test_what_the_next_run_would_use_is_kept(line: Yard) -> None:
    for value in (1, 2, 3):
        line.configure(value)
        runs.run(line.project)
    line.configure(1)
    line.age()
    reasons = {
        read_config(line.project.blobs, k.artifact.digest)["number"]: k.reason for k in gc.plan(line.project).kept
    }
    assert sorted(reasons) == [1, 3, 11, 13]
    assert reasons[1].endswith("behind the next kedge run")
    assert reasons[13].endswith("behind the newest result of its stage")
    assert len(gc.collect(line.project).artifacts) == 2
    assert numbers(line) == [1, 3, 11, 13]
    assert runs.run(line.project).idle
    line.configure(2)
    assert not runs.run(line.project).idle, "what is gone is made again"
    assert line.dangling() == []


def test_a_running_pipeline_loses_nothing(line: Yard) -> None:
    line.configure(1)
    runs.run(line.project)
    line.configure(5, seconds=0.4)
    for number in range(20):
        line.artifact(f"garbage {number}", shared=b"same")
    line.age()
    stop, collected = threading.Event(), []

    def collect() -> None:
        project = open_project(line.project.root)
        project.steps = import_module("countingsteps").load()
        while not stop.is_set():
            collected.append(gc.collect(project))
        project.close()

    thread = threading.Thread(target=collect)
    thread.start()
    result = runs.run(line.project)
    stop.set()
    thread.join()
    assert len(collected) > 1
    assert sum(len(each.artifacts) for each in collected) >= 20
    assert not result.idle
    assert {5, 15} <= set(numbers(line))
    assert line.dangling() == []
