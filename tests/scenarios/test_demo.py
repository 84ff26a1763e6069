"""The main job in small: fewer functions and fewer steps, the same acts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from kedge.app.demo.line import TEMPLATE
from kedge.core.hashing import DIGEST

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose demo reads three packages and is content with little."""
    root = tmp_path_factory.mktemp("demo")
    library = Path(sysconfig.get_path("stdlib"))
    for package in ("json", "email", "asyncio", "unittest"):
        shutil.copytree(library / package, root / "library" / package)
    text = TEMPLATE.read_text()
    text = text.replace("tests = true", 'tests = false, path = "library"')
    text = text.replace("test = 0.08", "test = 0.2").replace("steps = 1200", "steps = 120")
    text = text.replace("cases = 1000", "cases = 40").replace("max_tokens = 128", "max_tokens = 24")
    text = re.sub(r"rules = \[.*?\n\]", 'rules = [{ metric = "perplexity", at_most = 60.0 }]', text, flags=re.DOTALL)
    (root / "kedge.toml").write_text(text)
    return root


def demo(folder: Path) -> Any:
    """What `kedge demo --json` ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "kedge", "demo", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_demo_ends_with_its_report_and_a_second_run_repeats_it(folder: Path) -> None:
    report = demo(folder)
    assert report["verdict"] == "pass"
    assert report["failed_requests"] == 0
    assert report["requests"] > 0
    assert "perplexity" in report["refused"]
    assert report["rolled_back_to"] == report["bundle"]
    assert DIGEST.fullmatch(report["trace"]["dataset"]["digest"])
    assert report["trace"]["bundle"] == report["bundle"]
    assert all(Path(row["file"].rpartition(":")[0]).is_file() for row in report["trace"]["rows"])
    again = demo(folder)
    assert again["repeated"]
    assert again["receipt"] == report["receipt"]
