"""How fast values are logged, from the first call until all are durable: kedge beside other trackers and bare SQLite.

    python benchmarks/tracking.py --rivals /path/to/venv/bin/python     # a venv with trackio, aim and mlflow

Every tracker logs one value a call, as a training loop does, on this machine's disk, in a process and folder of its own;
the clock stops when its own way of waiting for everything to be written returns. Bare SQLite is the floor: executemany in
batches of 1,000 rows of the same columns, WAL, synchronous FULL. The rounds are interleaved and the median counts.
The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

BATCH: Final = 1000
# Enough values to take a second or more each.
VALUES: Final = {
    "bare sqlite": 300_000,
    "kedge": 300_000,
    "trackio": 60_000,
    "aim": 10_000,
    "mlflow": 300,
    "mlflow batch": 20_000,
}
TARGETS: Final = {"bare sqlite": 0.25, "trackio": 1.5, "aim": 10.0, "mlflow": 50.0}


def log_bare(values: int) -> Callable[[], None]:
    """The floor: SQLite with nothing around it."""
    database = sqlite3.connect("bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE points (run TEXT, name TEXT, step INTEGER, value REAL, at REAL)")

    def log() -> None:
        for first in range(0, values, BATCH):
            rows = [("0123456789abcdef", "loss", n, n * 0.5, time.time()) for n in range(first, first + BATCH)]
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", rows)
            database.execute("COMMIT")

    return log


def log_kedge(values: int) -> Callable[[], None]:
    """kedge, as user code calls it."""
    import kedge

    Path("kedge.toml").write_text('[project]\nname = "bench"\n')
    run = kedge.start_run("bench")

    def log() -> None:
        for n in range(values):
            run.log_metric("loss", n * 0.5, step=n)
        run.flush()

    return log


def log_trackio(values: int) -> Callable[[], None]:
    """trackio in a local folder, until `finish` returns."""
    os.environ.update(TRACKIO_DIR=str(Path.cwd()), HF_HUB_OFFLINE="1")
    trackio = importlib.import_module("trackio")
    trackio.init(project="bench", name="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)

    def log() -> None:
        for n in range(values):
            trackio.log({"loss": n * 0.5}, step=n)
        trackio.finish()

    return log


def log_aim(values: int) -> Callable[[], None]:
    """aim in a local repository, until `close` returns."""
    os.environ.update(AIM_TELEMETRY="0", DO_NOT_TRACK="1")
    aim = importlib.import_module("aim")
    run = aim.Run(
        repo=str(Path.cwd()), system_tracking_interval=None, log_system_params=False, capture_terminal_logs=False
    )

    def log() -> None:
        for n in range(values):
            run.track(n * 0.5, name="loss", step=n)
        run.close()

    return log


def _mlflow_run() -> tuple[Any, str]:
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", GIT_PYTHON_REFRESH="quiet")
    client = importlib.import_module("mlflow").MlflowClient(tracking_uri=f"sqlite:///{Path.cwd()}/mlflow.db")
    run = client.create_run(client.create_experiment("bench"))
    return client, run.info.run_id


def log_mlflow(values: int) -> Callable[[], None]:
    """The MLflow client on SQLite, which returns when a value is committed."""
    client, run = _mlflow_run()

    def log() -> None:
        for n in range(values):
            client.log_metric(run, "loss", n * 0.5, step=n)

    return log


def log_mlflow_batch(values: int) -> Callable[[], None]:
    """The MLflow client on SQLite in batches that the caller makes itself: for comparison, not a target."""
    client, run = _mlflow_run()
    make_metric = importlib.import_module("mlflow.entities").Metric

    def log() -> None:
        for first in range(0, values, BATCH):
            metrics = [make_metric("loss", n * 0.5, int(time.time() * 1000), n) for n in range(first, first + BATCH)]
            client.log_batch(run, metrics=metrics)

    return log


LOGGERS: Final = {
    "bare sqlite": log_bare,
    "kedge": log_kedge,
    "trackio": log_trackio,
    "aim": log_aim,
    "mlflow": log_mlflow,
    "mlflow batch": log_mlflow_batch,
}


def measure_here(name: str, values: int) -> dict[str, float]:
    """Set a tracker up in the current folder and time it; in a process of its own."""
    log = LOGGERS[name](values)
    wall, cpu = time.perf_counter(), time.process_time()
    log()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def measure(name: str, python: str, values: int) -> dict[str, float] | str:
    """Time a tracker in a fresh process and folder; why not, if it cannot be."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [python, str(Path(__file__).resolve()), "--only", name, "--values", str(values)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if "ModuleNotFoundError" in done.stderr:
        return "not installed"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    times = json.loads(done.stdout.strip().splitlines()[-1])
    return {"per_second": values / times["seconds"], "cpu_us": times["cpu_seconds"] / values * 1e6}


def compare(rounds: int, rivals: str, scale: float) -> dict[str, Any]:
    """The median rate of each tracker, and what kedge's is in terms of it."""
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in LOGGERS}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for name in [name for name in LOGGERS if name not in missing]:
            python = sys.executable if name in ("bare sqlite", "kedge") else rivals
            values = max(int(VALUES[name] * scale) // BATCH * BATCH, min(VALUES[name], BATCH))
            rate = measure(name, python, values)
            if isinstance(rate, str):
                missing[name] = rate
            else:
                rates[name].append(rate)
    result: dict[str, Any] = {name: {"missing": why} for name, why in missing.items()}
    for name, found in rates.items():
        if found:
            result[name] = {key: statistics.median(each[key] for each in found) for key in ("per_second", "cpu_us")}
    for name in result:
        if "kedge" in rates and rates["kedge"] and rates[name]:
            pairs = zip(rates["kedge"], rates[name], strict=False)
            ratio = statistics.median(ours["per_second"] / theirs["per_second"] for ours, theirs in pairs)
            result[name] |= {"kedge_times": ratio, "target": TARGETS.get(name)}
    return result


def show(result: dict[str, Any]) -> None:
    """A table for people, and the JSON object."""
    print(f"{'':14}{'values/s':>12}{'CPU us/value':>14}{'kedge is':>10}{'target':>8}")
    for name in LOGGERS:
        row = result[name]
        if "missing" in row:
            print(f"{name:14}{row['missing']:>12}")
            continue
        target = f"{row['target']:.2f}x" if row.get("target") else ""
        times = f"{row['kedge_times']:.2f}x" if "kedge_times" in row else ""
        print(f"{name:14}{row['per_second']:12,.0f}{row['cpu_us']:14.1f}{times:>10}{target:>8}")
    print(json.dumps(result))


def main() -> None:
    """Measure all, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the values to log, for a quick look")
    parser.add_argument("--rivals", default=sys.executable, help="the Python that has trackio, aim and mlflow")
    parser.add_argument("--only", choices=LOGGERS, help=argparse.SUPPRESS)
    parser.add_argument("--values", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print("\n" + json.dumps(measure_here(given.only, given.values)), flush=True)
    else:
        show(compare(given.rounds, given.rivals, given.scale))


if __name__ == "__main__":
    main()
