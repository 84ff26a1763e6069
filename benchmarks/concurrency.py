"""Many processes on one project at once: opening it fresh, and logging metrics and moving an alias for a while.

    python benchmarks/concurrency.py                        # 16 open at once, 3 times; 8 write for 30 s
    python benchmarks/concurrency.py --seconds 5 --ledger postgresql+psycopg://user@host/empty

Every process counts what was acknowledged to it; at the end all of it must be there, and nothing else. The last line is a
JSON object; the exit code is 1 if a process failed or a record was lost.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import kedge
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.audit import GENESIS, link
from kedge.core.errors import Conflict
from kedge.core.hashing import digest
from kedge.core.ledger import RunQuery
from kedge.core.model import AliasMove, ModelVersion

MODEL, ALIAS, VERSIONS = "schemas", "production", 4
BURST = 50  # values between two flushes


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What one process was told is durable."""

    values: int = 0
    moves: int = 0
    conflicts: int = 0


def make_project(folder: Path, ledger: str) -> kedge.Project:
    """A project that names its ledger, but has not opened it."""
    store = f'[store]\nledger = "{ledger}"\n' if ledger else ""
    (folder / "kedge.toml").write_text(f'[project]\nname = "crowd"\n\n{store}')
    return kedge.open(folder)


def register_versions(project: kedge.Project) -> None:
    """Versions for the alias to move over."""
    for number in range(VERSIONS):
        name = digest(str(number).encode())
        at = project.clock.now()
        with project.recorded("register", MODEL, bundle=name) as tx:
            tx.artifacts.add(Artifact(digest=name, kind=ArtifactKind.BUNDLE, size=1), at=at)
            tx.models.register(
                ModelVersion(name=MODEL, version=0, bundle=name, model=name, registered=at, by=project.principal)
            )


def work(folder: Path, seconds: float) -> Acknowledged:
    """What one process does: open the project when it is told to, then log and promote until the time is over."""
    kedge.start_run  # noqa: B018 - imported before the race begins
    print("ready", flush=True)
    sys.stdin.readline()
    project = kedge.open(folder)
    done = Acknowledged()
    with kedge.start_run("worker", project=project) as run:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number in range(BURST):
                run.log_metric("loss", number)
            run.flush()
            done = replace(done, values=done.values + BURST)
            done = move_alias(project, done)
    return done


def move_alias(project: kedge.Project, done: Acknowledged) -> Acknowledged:
    """Move the alias on by one version, unless somebody else was faster."""
    before = next((move.after for move in project.ledger.models.aliases(MODEL)), None)
    after = (before or 0) % VERSIONS + 1
    at = project.clock.now()
    move = AliasMove(model=MODEL, alias=ALIAS, before=before, after=after, at=at, by=project.principal)
    try:
        with project.recorded("promote", f"{MODEL}@{after}", alias=ALIAS) as tx:
            tx.models.move(move)
    except Conflict:
        return replace(done, conflicts=done.conflicts + 1)
    return replace(done, moves=done.moves + 1)


def crowd(folder: Path, processes: int, seconds: float) -> tuple[list[Acknowledged], list[str]]:
    """Let that many processes loose at one moment; what was acknowledged to each, and what went wrong."""
    command = [sys.executable, __file__, "--worker", str(folder), str(seconds)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = [subprocess.Popen(command, text=True, **pipes) for _ in range(processes)]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate() for process in started]
    errors = [stderr for process, (_, stderr) in zip(started, ends, strict=True) if process.returncode or stderr]
    done = [Acknowledged(**json.loads(stdout)) for stdout, _ in ends if stdout]
    return done, errors


def check(project: kedge.Project, done: list[Acknowledged]) -> list[str]:
    """What does not hold of what the ledger kept."""
    ledger, wrong = project.ledger, []
    runs = ledger.runs.search(RunQuery(limit=10_000))
    values = sum(len(ledger.metrics.history(run.id, "loss")) for run in runs)
    if values != sum(each.values for each in done):
        wrong.append(f"{sum(each.values for each in done)} values were acknowledged and {values} are there")
    if any(run.status != "succeeded" for run in runs):
        wrong.append("a run was not finished")
    moves = ledger.models.history(MODEL, ALIAS)
    if len(moves) != sum(each.moves for each in done):
        wrong.append(f"{sum(each.moves for each in done)} moves were acknowledged and {len(moves)} are there")
    if any(one.after != two.before for one, two in pairwise(moves)):
        wrong.append("a move does not begin where the one before it ended")
    records = ledger.audit.records(limit=10_000_000)
    if len(records) != len(moves) + len(ledger.models.versions()):
        wrong.append(f"{len(records)} audit records for {len(moves)} moves")
    before = GENESIS
    for number, record in enumerate(records, 1):
        facts = {name: value for name, value in asdict(record).items() if name != "hash"}
        if record.seq != number or record.before != before or record.hash != link(**facts):
            wrong.append(f"the audit chain is broken at {number}")
            break
        before = record.hash
    return wrong


def open_together(processes: int, rounds: int, ledger: str) -> dict[str, Any]:
    """Several processes open one fresh project, start a run and log to it."""
    errors: list[str] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            project = make_project(Path(name), ledger)
            done, failed = crowd(Path(name), processes, 0.0)
            errors += failed + check(project, done)
            project.close()
    return {"processes": processes, "rounds": rounds, "errors": errors}


def write_together(processes: int, seconds: float, ledger: str) -> dict[str, Any]:
    """Several processes log metrics and move one alias."""
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name), ledger)
        register_versions(project)
        done, errors = crowd(Path(name), processes, seconds)
        errors += check(project, done)
        project.close()
    total = {key: sum(getattr(each, key) for each in done) for key in ("values", "moves", "conflicts")}
    least = min((each.values for each in done), default=0)
    return {"processes": processes, "seconds": seconds, **total, "least_values": least, "errors": errors}


def main() -> int:
    """Run both and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--ledger", default="", help="URL of an empty database (default: SQLite in the project)")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        folder, seconds = given.worker
        print(json.dumps(asdict(work(Path(folder), float(seconds)))))
        return 0
    result = {
        "open": open_together(given.openers, 1 if given.ledger else given.rounds, given.ledger),
        "write": write_together(given.writers, given.seconds, given.ledger),
    }
    print(json.dumps(result))
    return 1 if result["open"]["errors"] or result["write"]["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
