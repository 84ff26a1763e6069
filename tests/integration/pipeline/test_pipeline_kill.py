"""The kill campaign, in short: the real steps on a small project, killed at random moments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parents[3] / "benchmarks" / "kill.py"


@pytest.mark.slow
def test_ten_kills_of_the_whole_tree_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(CAMPAIGN), "--kills", "10", "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "10 of 10"
