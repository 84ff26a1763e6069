"""How fast runs are found among many: filtered and ordered search in kedge, beside the MLflow client on SQLite.

    python benchmarks/search.py --rivals /path/to/venv/bin/python --keep /tmp/search     # a venv with mlflow

Both stores are filled with the same runs (6 parameters and 4 metrics of 5 values each): kedge's through its ledger,
MLflow's by rows into the tables that its client made, as filling it through the client takes hours. Every search asks for
100 runs and both must name the same ones. Warm is the median of the searches of a process that has searched before; cold is
the first search of a fresh process, opening the store included and importing not. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
METRICS: Final = ("loss", "accuracy", "perplexity", "tokens_per_second")
CHUNK: Final = 1000
KINDS: Final = ("warm", "cold")
TARGET_MS: Final = 100.0
TARGET_TIMES: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search in the words of both."""

    where: str
    order: str
    mlflow_where: str
    mlflow_order: str


SEARCHES: Final = {
    "newest": Search(where="", order="-started", mlflow_where="", mlflow_order="attributes.start_time DESC"),
    "filtered and ordered": Search(
        where="metrics.loss < 0.3 and params.optimizer = 'adam' and status = 'succeeded'",
        order="metrics.loss",
        mlflow_where="metrics.loss < 0.3 and params.optimizer = 'adam' and attributes.status = 'FINISHED'",
        mlflow_order="metrics.loss ASC",
    ),
    "two metrics": Search(
        where="metrics.loss < 0.3 and metrics.accuracy > 0.5",
        order="-metrics.accuracy",
        mlflow_where="metrics.loss < 0.3 and metrics.accuracy > 0.5",
        mlflow_order="metrics.accuracy DESC",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One run, the same for both."""

    id: str
    number: int
    params: dict[str, Any]
    values: dict[str, list[float]]
    ended: bool


def make_runs(count: int) -> Iterator[Made]:
    """The same runs every time."""
    chance = random.Random(7)
    for number in range(count):
        params = {
            "optimizer": chance.choice(["adam", "sgd", "lion"]),
            "lr": chance.choice([0.0001, 0.0003, 0.001]),
            "batch": chance.choice([8, 16, 32]),
            "layers": chance.randrange(2, 13),
            "dropout": chance.random(),
            "seed": number,
        }
        values = {name: [chance.random() for _ in range(5)] for name in METRICS}
        yield Made(
            id=f"{chance.getrandbits(128):032x}", number=number, params=params, values=values, ended=number % 20 > 0
        )


def fill_kedge(folder: Path, count: int) -> None:
    """Through the ledger, a thousand runs a transaction."""
    from kedge.core.ledger import Ledger
    from kedge.core.run import Point, Run, RunStatus
    from kedge.core.spec import Spec
    from kedge.store.ledger.open import open_ledger

    def add(ledger: Ledger, made: Made) -> None:
        started = START + timedelta(seconds=made.number)
        run = Run(
            id=made.id,
            stage="train",
            spec=Spec(name="train", args=made.params),
            key=made.id,
            status=RunStatus.SUCCEEDED if made.ended else RunStatus.RUNNING,
            started=started,
            ended=started + timedelta(minutes=1) if made.ended else None,
        )
        ledger.runs.start(run)
        points = [
            Point(run=made.id, name=name, step=step, value=value, at=started.timestamp())
            for name, values in made.values.items()
            for step, value in enumerate(values)
        ]
        ledger.metrics.append(points)

    ledger = open_ledger(f"sqlite:///{folder}/kedge.db", lock=folder / "lock")
    runs = list(make_runs(count))
    for first in range(0, count, CHUNK):
        with ledger.begin() as tx:
            for made in runs[first : first + CHUNK]:
                add(tx, made)
    ledger.close()


def fill_mlflow(folder: Path, count: int) -> None:
    """By rows into its own tables."""
    client = _mlflow_client(folder)
    experiment = client.create_experiment("bench")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for made in make_runs(count):
            began = int((START + timedelta(seconds=made.number)).timestamp() * 1000)
            run = {
                "run_uuid": made.id,
                "name": f"run-{made.number}",
                "source_type": "LOCAL",
                "user_id": "bench",
                "status": "FINISHED" if made.ended else "RUNNING",
                "start_time": began,
                "end_time": began + 60_000 if made.ended else None,
                "lifecycle_stage": "active",
                "artifact_uri": f"{folder}/mlruns/{made.id}",
                "experiment_id": experiment,
            }
            _insert(database, "runs", run)
            _insert(database, "tags", {"key": "mlflow.runName", "value": run["name"], "run_uuid": made.id})
            for key, param in made.params.items():
                _insert(database, "params", {"key": key, "value": str(param), "run_uuid": made.id})
            for key, values in made.values.items():
                point: dict[str, Any] = {"key": key, "timestamp": began, "run_uuid": made.id, "is_nan": 0}
                for step, value in enumerate(values):
                    point |= {"step": step, "value": value}
                    _insert(database, "metrics", point)
                _insert(database, "latest_metrics", point)


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def _mlflow_client(folder: Path) -> Any:
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", GIT_PYTHON_REFRESH="quiet")
    return importlib.import_module("mlflow").MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")


def open_kedge(folder: Path) -> Callable[[Search], list[str]]:
    """A function that searches with kedge."""
    from kedge.core.ledger import RunQuery
    from kedge.store.ledger.open import open_ledger

    ledger = open_ledger(f"sqlite:///{folder}/kedge.db", lock=folder / "lock")
    return lambda search: [run.id for run in ledger.runs.search(RunQuery(where=search.where, order=search.order))]


def open_mlflow(folder: Path) -> Callable[[Search], list[str]]:
    """A function that searches with the MLflow client."""
    client = _mlflow_client(folder)
    experiment = client.get_experiment_by_name("bench").experiment_id

    def find(search: Search) -> list[str]:
        found = client.search_runs([experiment], search.mlflow_where, order_by=[search.mlflow_order], max_results=100)
        return [run.info.run_id for run in found]

    return find


def measure_here(name: str, label: str, folder: Path, times: int) -> dict[str, Any]:
    """Cold and warm milliseconds of one search, and what it found, in this process, which is fresh."""
    importlib.import_module({"kedge": "kedge.store.ledger.open", "mlflow": "mlflow"}[name])
    began = time.perf_counter()
    find = {"kedge": open_kedge, "mlflow": open_mlflow}[name](folder)
    found = find(SEARCHES[label])
    cold = (time.perf_counter() - began) * 1000
    warm = []
    for _ in range(times):
        began = time.perf_counter()
        find(SEARCHES[label])
        warm.append((time.perf_counter() - began) * 1000)
    return {"cold": cold, "warm": statistics.median(warm), "found": found}


def run_alone(python: str, *arguments: str) -> str:
    """Call this script in a fresh process; its last line. Raises `ModuleNotFoundError` where a rival is missing."""
    command = [python, str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        raise ModuleNotFoundError(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise SystemExit(done.stderr)
    return (done.stdout.strip().splitlines() or [""])[-1]


def compare(folder: Path, pythons: dict[str, str], count: int, rounds: int, times: int) -> dict[str, Any]:
    """Fill what is not filled, search in turns, and check that both found the same."""
    result: dict[str, Any] = {"runs": count}
    measured: dict[tuple[str, str], list[dict[str, Any]]] = {}
    present = [name for name in pythons if is_filled(name, pythons[name], folder, count)]
    for _ in range(rounds):
        for label, name in itertools.product(SEARCHES, present):
            arguments = ("--only", name, "--search", label, "--keep", str(folder), "--times", str(times))
            measured.setdefault((label, name), []).append(json.loads(run_alone(pythons[name], *arguments)))
    for label in SEARCHES:
        found = {json.dumps(each["found"]) for name in present for each in measured[label, name]}
        assert len(found) == 1, f"{label}: they found different runs"
        row: dict[str, Any] = {"found": len(json.loads(found.pop()))}
        for name in present:
            rows = measured[label, name]
            row[name] = {key: round(statistics.median(each[key] for each in rows), 2) for key in KINDS}
        if "mlflow" in row:
            row["kedge_times"] = {key: round(row["mlflow"][key] / row["kedge"][key], 1) for key in KINDS}
        result[label] = row
    return result


def is_filled(name: str, python: str, folder: Path, count: int) -> bool:
    """Fill a store unless that was done before; False if it is not installed."""
    try:
        if not (folder / f"{name}.filled").exists():
            run_alone(python, "--fill", name, "--keep", str(folder), "--runs", str(count))
    except ModuleNotFoundError:
        return False
    return True


def show(result: dict[str, Any]) -> None:
    """A table for people, and the JSON object."""
    print(f"{result['runs']:,} runs; milliseconds{'':14}{'kedge':>8}{'mlflow':>10}{'kedge is':>10}")
    for label in SEARCHES:
        for key in KINDS:
            row = result[label]
            rival = f"{row['mlflow'][key]:10.1f}{row['kedge_times'][key]:9.1f}x" if "mlflow" in row else "not installed"
            print(f"{label + ', ' + key:36}{row['kedge'][key]:8.1f}{rival}")
    print(f"targets: under {TARGET_MS:.0f} ms, and at least {TARGET_TIMES:.0f} times faster")
    print(json.dumps(result))


def main() -> None:
    """Compare, or do one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=10, help="warm searches of each kind in a process")
    parser.add_argument("--rivals", default=sys.executable, help="the Python that has mlflow")
    parser.add_argument("--keep", type=Path, help="a folder to fill once and search again")
    parser.add_argument("--fill", choices=("kedge", "mlflow"), help=argparse.SUPPRESS)
    parser.add_argument("--search", choices=SEARCHES, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=("kedge", "mlflow"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="kedge-search-"))
    folder.mkdir(parents=True, exist_ok=True)
    if given.fill:
        {"kedge": fill_kedge, "mlflow": fill_mlflow}[given.fill](folder, given.runs)
        (folder / f"{given.fill}.filled").touch()
    elif given.only:
        print("\n" + json.dumps(measure_here(given.only, given.search, folder, given.times)))
    else:
        show(compare(folder, {"kedge": sys.executable, "mlflow": given.rivals}, given.runs, given.rounds, given.times))
        if given.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
