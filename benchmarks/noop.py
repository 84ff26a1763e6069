"""How long a run takes in which nothing is to do: `kedge run` beside `dvc repro` on as many up-to-date stages.

    python benchmarks/noop.py --dvc path/to/venv/bin/dvc [--rounds 15] [--stages 8]

Both pipelines are a chain of stages over one text file. Whole processes are timed, the two in turn, so that what else
the machine does hits both alike. Prints medians of wall and CPU time and their ratio; exits 1 if kedge takes more
than half of dvc's wall time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LINES = "".join(f'{{"input": "line {i} of the text, padded to a length", "target": "{i}"}}\n' for i in range(2000))

STEP = '''
"""A chain of steps that copy a text, for benchmarks."""

from dataclasses import dataclass
from hashlib import sha256

from kedge.core.artifact import ArtifactKind
from kedge.core.manifest import write_artifact
from kedge.core.step import Step, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which text, and how often it is counted."""

    path: str = "rows.jsonl"
    number: int = 0


def work(context, options):
    """Write an artifact of a few bytes."""
    text = (context.root / options.path).read_bytes()
    config = {"number": options.number, "text": sha256(text).hexdigest()}
    return StepResult(outputs={"report": write_artifact(context.blobs, ArtifactKind.REPORT, config, {"text": text})})


def outside(options, root):
    """The digest of the text."""
    return sha256((root / options.path).read_bytes()).hexdigest()


REPORT = {"report": ArtifactKind.REPORT}
CODE = ("chainsteps", "kedge.core", "kedge.text", "kedge.data", "kedge.train")
PACKAGES = ("numpy", "torch", "transformers", "tokenizers")
FIRST = Step(name="first", options=Options, work="chainsteps:work", outputs=REPORT, code=CODE, outside=outside)
NEXT = Step(
    name="next", options=Options, work="chainsteps:work", inputs=REPORT, outputs=REPORT, code=CODE, packages=PACKAGES
)
'''


@dataclass(frozen=True)
class Cost:
    """What one process took, in seconds."""

    wall: float
    cpu: float


def make_kedge(folder: Path, stages: int) -> list[str]:
    """A kedge project with its steps as a plug-in."""
    plugin = folder / "plugin"
    metadata = plugin / "chainsteps-1.0.dist-info"
    metadata.mkdir(parents=True)
    (plugin / "chainsteps.py").write_text(STEP)
    (metadata / "entry_points.txt").write_text("[kedge.steps]\nfirst = chainsteps:FIRST\nnext = chainsteps:NEXT\n")
    (folder / "rows.jsonl").write_text(LINES)
    tables = [f'[stages.s{i}]\nstep = "{"next" if i else "first"}"\nnumber = {i}\n' for i in range(stages)]
    (folder / "kedge.toml").write_text("\n".join(tables))
    return [str(Path(sys.executable).with_name("kedge")), "-C", str(folder), "run"]


def make_dvc(folder: Path, stages: int, dvc: str) -> list[str]:
    """A dvc project without git whose stages copy a file."""
    (folder / "rows.jsonl").write_text(LINES)
    (folder / "copy.py").write_text("import sys, shutil\nshutil.copyfile(sys.argv[1], sys.argv[2])\n")
    lines = ["stages:"]
    for i in range(stages):
        before = f"s{i - 1}.jsonl" if i else "rows.jsonl"
        lines += [
            f"  s{i}:",
            f"    cmd: {sys.executable} copy.py {before} s{i}.jsonl",
            f"    deps: [copy.py, {before}]",
            f"    outs: [s{i}.jsonl]",
        ]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    subprocess.run([dvc, "init", "--no-scm", "-q"], cwd=folder, check=True)
    subprocess.run([dvc, "config", "core.analytics", "false"], cwd=folder, check=True)
    subprocess.run([dvc, "config", "core.check_update", "false"], cwd=folder, check=True)
    return [dvc, "repro"]


def measure(command: list[str], folder: Path) -> Cost:
    """Run to the end and say what it took."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "plugin")}
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall=wall, cpu=cpu)


def main() -> int:
    """Time both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rivals = os.environ.get("RIVALS")
    beside = shutil.which("dvc", path=str(Path(rivals).parent) if rivals else None)
    parser.add_argument("--dvc", default=beside, help="the dvc command; else the one beside $RIVALS, a Python")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--stages", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        commands = {"kedge run": (make_kedge(Path(ours), options.stages), Path(ours))}
        if options.dvc:
            commands["dvc repro"] = (make_dvc(Path(theirs), options.stages, options.dvc), Path(theirs))
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for command, folder in commands.values():
            for _ in range(2):  # the first makes everything, the second finds it up to date and fills caches
                measure(command, folder)
        for _ in range(options.rounds):
            for name, (command, folder) in commands.items():
                costs[name].append(measure(command, folder))
    walls = {name: statistics.median(cost.wall for cost in found) for name, found in costs.items()}
    print(f"{options.stages} stages up to date, median of {options.rounds} rounds")
    for name, found in costs.items():
        cpu = statistics.median(cost.cpu for cost in found)
        print(f"  {name:10} {walls[name] * 1000:7.0f} ms wall {cpu * 1000:7.0f} ms CPU")
    if len(walls) == 1:
        print("  no dvc here: pip install dvc in a venv of its own and pass --dvc")
        return 0
    ratio = walls["kedge run"] / walls["dvc repro"]
    print(f"  kedge takes {ratio:.2f} of dvc's wall time (at most 0.50 wanted)")
    return 0 if ratio <= 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
