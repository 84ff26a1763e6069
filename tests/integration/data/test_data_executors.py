"""`kedge run --executor ray` as it is typed: the digests are those of `local`, also when a Ray worker is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kedge.testing.data import make_examples, write_jsonl

pytestmark = pytest.mark.slow

CONFIG = """
[project]
name = "rows"

[stages.data]
step = "dataset"
source = { name = "files", path = "in" }
features = { length = "length" }
split = { test = 0.1, validation = 0.1 }

[stages.more]
step = "dataset"
source = { name = "files", path = "in" }
duplicates = { near = 0.7 }
"""
FEATURE = """
import os
import signal
import sys


def length(texts):
    mark = os.environ.get("KILL_ONE", "")
    if mark and sys.argv[0].endswith("default_worker.py"):
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return [float(len(text)) for text in texts]
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a feature that kills the Ray worker which computes it first, if it is told to."""
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "lengths.py").write_text(FEATURE)
    about = folder / "lengths-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lengths\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[kedge.features]\nlength = lengths:length\n")
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> dict[str, Any]:
    """What the stages make on this machine."""
    return made(tmp_path_factory.mktemp("local"), plugin, "local")


def made(folder: Path, plugin: Path, executor: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The outputs of every stage of a new project that is run."""
    (folder / "kedge.toml").write_text(CONFIG)
    (folder / "in").mkdir()
    for i in range(150):
        write_jsonl(folder / "in" / f"{i:03}.jsonl", make_examples(6, begin=i * 5))
    (folder / "in" / "bad.jsonl").write_bytes(b'{"input": 1}\nnot json\n')
    command = [sys.executable, "-m", "kedge", "-C", str(folder), "run", "--executor", executor, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(plugin), **(more or {})}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return {stage["stage"]: stage["outputs"] for stage in json.loads(done.stdout)["stages"]}


def test_ray_makes_what_this_machine_makes(tmp_path: Path, plugin: Path, local: dict[str, Any]) -> None:
    assert set(local) == {"data", "more"}
    assert made(tmp_path, plugin, "ray") == local


def test_a_killed_ray_worker_changes_nothing(tmp_path: Path, plugin: Path, local: dict[str, Any]) -> None:
    mark = tmp_path / "killed"
    assert made(tmp_path, plugin, "ray", {"KILL_ONE": str(mark)}) == local
    assert mark.exists()
