"""Many processes on one project at once. The full length runs as `benchmarks/concurrency.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "concurrency.py"


@pytest.mark.slow
def test_processes_open_and_write_one_project_at_once(fresh_url: str, tmp_path: Path) -> None:
    ledger = [] if fresh_url.startswith("sqlite") else ["--ledger", fresh_url]
    command = [sys.executable, str(SCRIPT), "--rounds", "1", "--seconds", "3", *ledger]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["open"]["errors"] == result["write"]["errors"] == []
    assert result["write"]["values"] > 0
    assert result["write"]["moves"] > 0
