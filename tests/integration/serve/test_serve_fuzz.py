"""The OpenAPI document as a source of requests: whatever fits it or nearly fits it, the gateway answers as it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "fuzz.py"


def test_no_request_made_from_the_document_ends_in_a_server_error() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--cases", "400", "--jobs", "1", "--seed", "7", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout, done.stderr[-2000:]
    got = json.loads(done.stdout.splitlines()[-1])
    assert got["cases"] > 200
    assert (got["server_errors"], got["failures"]) == (0, [])
    assert done.returncode == 0
    assert {status.rsplit(" ", 1)[1] for status in got["statuses"]} >= {"200", "400", "401", "404"}
