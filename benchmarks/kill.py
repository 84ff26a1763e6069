"""Kills `kedge run` and everything it started, again and again, and looks whether anything is lost.

    python benchmarks/kill.py [--kills 200] [--jobs 2] [--seed 0]

A small real line (rows -> tokenizer -> model -> bundle -> evaluation -> verdict -> version) is run once without a
disturbance. Then projects like it are run and killed with SIGKILL at random moments, and run again until they end:
half of the kills fall anywhere in time, half within a fraction of a second of a stage's begin or end, where records
are written. After each kill what was on record before must still be there, the database and the audit chain must be
whole, and every artifact on record must be readable with the bytes its digest says. When a project ends, the digest of
each stage's output must be the one of the undisturbed run. Prints `N of N`; exits 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kedge.app import audit
from kedge.app.project import open_project
from kedge.core.ledger import RunQuery
from kedge.core.manifest import read_manifest

PROJECT = """
[project]
name = "small"

[stages.data]
step = "dataset"
source = { name = "jsonl", path = "rows.jsonl" }
duplicates = { near = 1.0 }

[stages.tokenizer]
step = "tokenizer"
vocabulary = 320

[stages.train]
step = "train"
prompt = "{input}\\n"
shape = { hidden = 32, intermediate = 64, layers = 1, heads = 2, context = 128 }
steps = 40
batch_tokens = 512
max_tokens = 96
precision = "float32"
threads = 1
log_every = 1
validate_every = 20
checkpoint_every = 5

[stages.bundle]
step = "bundle"
prompt = "{input}\\n"
sampling = { max_tokens = 16 }

[stages.evaluate]
step = "evaluate"
cases = 8

[stages.gate]
step = "gate"
rules = [{ metric = "exact_match", at_least = 0.0 }]

[stages.register]
step = "register"
model = "small"
"""
COUNTS = {
    "finished runs": "SELECT count(*) FROM runs WHERE status = 'succeeded'",
    "metric values": "SELECT count(*) FROM points",
    "audit records": "SELECT count(*) FROM audit",
    "versions": "SELECT count(*) FROM model_versions",
    "verdicts": "SELECT count(*) FROM verdicts",
}
Outputs = dict[str, dict[str, str]]


@dataclass
class Campaign:
    """What is shared by the jobs: how many kills are left, and what was found."""

    kills: int
    expected: Outputs
    seconds: float
    left: int = 0
    finished: int = 0
    by_stage: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Whether one more kill is due."""
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def report(self, stage: str, faults: list[str]) -> None:
        """Note a kill and what it broke."""
        with self.lock:
            self.by_stage[stage] = self.by_stage.get(stage, 0) + 1
            self.faults += faults
            done = sum(self.by_stage.values())
            if done % 10 == 0:
                print(f"{done} kills, {self.finished} projects ended, {len(self.faults)} faults", file=sys.stderr)


def make_project(folder: Path) -> Path:
    """A small project with rows of its own."""
    folder.mkdir()
    (folder / "kedge.toml").write_text(PROJECT)
    with (folder / "rows.jsonl").open("w") as rows:
        for i in range(400):
            name, args = f"name_{i * 7919 % 1009}", [f"a{j}" for j in range(i % 5)]
            target = json.dumps({"name": name, "args": args})
            rows.write(json.dumps({"input": f"def {name}({', '.join(args)})", "target": target}) + "\n")
    return folder


def start(folder: Path) -> subprocess.Popen[str]:
    """Begin a run."""
    command = [sys.executable, "-m", "kedge", "-C", str(folder), "run"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found += tree(int(child))
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and all below it at once, as a power cut or an out-of-memory killer would."""
    for pid in tree(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def count(folder: Path) -> dict[str, int]:
    """What is on record; what can be read is acknowledged."""
    path = folder / ".kedge" / "ledger.db"
    if not path.exists():
        return dict.fromkeys(COUNTS, 0)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        return {name: database.execute(statement).fetchone()[0] for name, statement in COUNTS.items()}


class Watch(threading.Thread):
    """Reads what a run says, and kills it when its moment has come."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], moment: float | tuple[int, float]) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.process = process
        self.stage = "before the first stage"
        self.killed = False
        self.said: list[str] = []
        self.before: dict[str, int] = {}
        self._moment = moment
        self._turns = 0
        self._due = threading.Event()
        if isinstance(moment, float):
            self._wait = threading.Timer(moment, self._due.set)
            self._wait.daemon = True
            self._wait.start()
        self._killer = threading.Thread(target=self._kill, daemon=True)
        self._killer.start()

    def run(self) -> None:
        """Listen to the end."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            stage, _, rest = line.partition(": ")
            if rest.startswith(("running", "done")):
                self.stage = stage
                self._turns += 1
                if isinstance(self._moment, tuple) and self._turns == self._moment[0]:
                    time.sleep(self._moment[1])
                    self._due.set()
        self.process.wait()
        self._due.set()
        self._killer.join()

    def _kill(self) -> None:
        self._due.wait()
        if self.process.poll() is None:
            self.before = count(self.folder)
            kill(self.process)
            self.killed = self.process.returncode == -signal.SIGKILL


def examine(folder: Path, before: dict[str, int]) -> list[str]:
    """Everything that must hold whatever happened; what does not."""
    faults = [
        f"{name}: {before[name]} before, {after} after"
        for name, after in count(folder).items()
        if after < before.get(name, 0)
    ]
    path = folder / ".kedge" / "ledger.db"
    if not path.exists():
        return faults
    with closing(sqlite3.connect(path, timeout=30)) as database:
        said = database.execute("PRAGMA integrity_check").fetchone()[0]
        faults += [] if said == "ok" else [f"database: {said}"]
    with closing(open_project(folder)) as project:
        faults += [f"audit record {each.seq}: {each.text}" for each in audit.verify(project).breaks]
        for artifact in project.ledger.artifacts.all():
            manifest = read_manifest(project.blobs, artifact.digest)
            for layer in (manifest.config, *manifest.layers):
                project.blobs.get(layer.digest)
        good = project.ledger.runs.search(RunQuery(where="status = 'succeeded'", limit=1000))
        faults += [f"run {run.id} of {run.stage} has no output" for run in good if not run.outputs]
    return faults


def outputs(folder: Path) -> Outputs:
    """The newest outputs of each stage."""
    with closing(open_project(folder)) as project:
        good = project.ledger.runs.search(RunQuery(where="status = 'succeeded'", order="started", limit=1000))
        return {run.stage: dict(run.outputs) for run in good}


def haul(folder: Path, campaign: Campaign, chance: random.Random) -> None:
    """Run a project and kill it until it ends; then compare."""
    while True:
        left = len(campaign.expected) - count(folder)["finished runs"]
        moment: float | tuple[int, float] = (chance.randint(1, 2 * max(1, left)), chance.uniform(0, 0.3))
        if chance.random() < 0.5:
            moment = chance.uniform(0.1, campaign.seconds * max(1, left) / len(campaign.expected))
        due = campaign.take()
        process = start(folder)
        watch = Watch(folder, process, moment if due else 1e9)
        watch.start()
        watch.join()
        if watch.killed:
            campaign.report(watch.stage, examine(folder, watch.before))
            continue
        if due:
            with campaign.lock:
                campaign.left += 1  # it ended before its moment came
        faults = examine(folder, {})
        if process.returncode:
            faults.append(f"the run left with {process.returncode}: {''.join(watch.said)}")
        elif (made := outputs(folder)) != campaign.expected:
            changed = [stage for stage, ports in campaign.expected.items() if made.get(stage) != ports]
            faults.append(f"{folder.name}: other digests than undisturbed: {', '.join(changed)}")
        with campaign.lock:
            campaign.finished += 1
            campaign.faults += faults
        return


def job(home: Path, number: int, campaign: Campaign, seed: int) -> None:
    """Project after project, until all kills are spent."""
    chance = random.Random(seed * 1000 + number)
    turn = 0
    while True:
        with campaign.lock:
            if campaign.left <= 0 or campaign.faults:
                return
        haul(make_project(home / f"{number}-{turn}"), campaign, chance)
        turn += 1


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2, help="projects at a time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kedge-kill-") as folder:
        home = Path(folder)
        reference = make_project(home / "undisturbed")
        began = time.monotonic()
        process = start(reference)
        _, said = process.communicate()
        if process.returncode:
            print(said, file=sys.stderr)
            return 1
        campaign = Campaign(
            kills=options.kills,
            expected=outputs(reference),
            seconds=time.monotonic() - began,
            left=options.kills,
        )
        print(f"undisturbed: {campaign.seconds:.1f} s, {len(campaign.expected)} stages", file=sys.stderr)
        with ThreadPoolExecutor(options.jobs) as pool:
            for done in [pool.submit(job, home, n, campaign, options.seed) for n in range(options.jobs)]:
                done.result()
    kills = sum(campaign.by_stage.values())
    for fault in campaign.faults:
        print(f"FAULT {fault}")
    where = ", ".join(f"{stage} {n}" for stage, n in sorted(campaign.by_stage.items(), key=lambda item: -item[1]))
    print(f"killed in: {where}")
    print(f"{campaign.finished} projects ended with the digests of the undisturbed run")
    print(f"{kills if not campaign.faults else kills - len(campaign.faults)} of {options.kills}")
    return 0 if not campaign.faults and kills == options.kills else 1


if __name__ == "__main__":
    sys.exit(main())
