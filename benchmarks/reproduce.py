"""Trains the demo's model twice, in two folders, and compares every digest from the rows to the model.

    python benchmarks/reproduce.py [--steps N] [--kill]

The second training can also be killed with SIGKILL half-way and run again (`--kill`). Prints one JSON object; exits 1 if
any digest differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kedge.app.demo.line import TEMPLATE

Outputs = dict[str, dict[str, str]]


def make_project(folder: Path) -> Path:
    """A folder with the demo's project file."""
    folder.mkdir()
    shutil.copyfile(TEMPLATE, folder / "kedge.toml")
    return folder


def command(folder: Path, steps: int) -> list[str]:
    """The command that carries the line as far as the model."""
    sets = ["--set", f"stages.train.steps={steps}"] if steps else []
    return [sys.executable, "-m", "kedge", "-C", str(folder), "run", "train", "--json", *sets]


def train(folder: Path, steps: int) -> Outputs:
    """Run to the end; the digests of each stage's outputs."""
    done = subprocess.run(command(folder, steps), check=True, stdout=subprocess.PIPE, text=True)
    stages = json.loads(done.stdout.splitlines()[-1])["stages"]
    return {stage["stage"]: stage["outputs"] for stage in stages}


def kill_half_way(folder: Path, steps: int, seconds: float) -> None:
    """Start, and kill the whole process tree after a time."""
    with subprocess.Popen(
        command(folder, steps), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)


def main() -> int:
    """Train twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=0, help="training steps (the demo's own without it)")
    parser.add_argument("--kill", action="store_true", help="kill the second training half-way")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.monotonic()
        first = train(make_project(Path(scratch) / "first"), given.steps)
        seconds = time.monotonic() - begun
        folder = make_project(Path(scratch) / "second")
        if given.kill:
            kill_half_way(folder, given.steps, seconds / 2)
        second = train(folder, given.steps)
    same = first == second
    print(
        json.dumps({"same": same, "killed": given.kill, "seconds": round(seconds, 1), "first": first, "second": second})
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
