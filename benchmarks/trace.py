"""How long `kedge trace RECEIPT` takes when the stores are full, beside what no program could do without.

    python benchmarks/trace.py [--rows 1000000] [--traces 1000000] [--rounds 7] [--folder FOLDER]

Fills a project with that many rows (made-up function headers, through the real dataset writer and index builder) and
that many traces (through the gateway's own sink), then times whole processes. The limit is a bare Python that does the
same look-ups with nothing but sqlite3, NumPy and pyarrow, and believes the bytes. With --folder the stores are kept and
used again. Exits 1 if the median takes a second or more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kedge.app.project import Project, open_project
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.dataset import Row
from kedge.core.hashing import digest_of
from kedge.core.manifest import read_manifest, write_artifact
from kedge.core.model import ModelVersion
from kedge.core.ports import Silent
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.core.trace import Receipt, Trace
from kedge.data.build import build
from kedge.data.lookup.build import build_index
from kedge.data.rows import make_row
from kedge.data.sources.jsonl import SOURCE, JsonlOptions
from kedge.data.types import BoundSource, BuildRequest, DuplicateOptions, SplitOptions
from kedge.registry.bundle import write_bundle
from kedge.store.traces.open import open_sink

TARGET = 1.0  # seconds
ASKED = 424_242 / 1_000_000  # which of the traces is asked for, as a share
VOCABULARY = (
    "read write open close parse build load store send receive line block frame token header body row column index "
    "cache queue lock thread task event signal stream buffer socket server client request response session user group "
    "file path folder name size count total limit offset start stop begin end first last next previous key value item "
    "node edge tree graph list set map table record field type kind mode state status error warning message text byte"
)
WORDS = VOCABULARY.split()

LIMIT = """
import json, sqlite3, sys
import numpy as np, pyarrow.parquet as pq
ledger, traces, id, postings, features, starts, segment = sys.argv[1:]
found = sqlite3.connect(traces).execute("select prompt, answer from traces where id = ?", (id,)).fetchone()
database = sqlite3.connect(ledger)
for table in ("runs", "artifacts", "model_versions"):
    database.execute(f"select * from {table} limit 5").fetchall()
features, starts, postings = (np.load(p, mmap_mode="r") for p in (features, starts, postings))
places = np.searchsorted(features, features[:: max(len(features) // 30, 1)])
parts = [postings[starts[p] : min(starts[p + 1], starts[p] + 20000)] for p in places]
rows, counts = np.unique(np.concatenate(parts), return_counts=True)
best = np.sort(rows[np.argsort(counts)[-5:]])
with pq.ParquetFile(segment, memory_map=True) as parquet:
    for row in best:
        parquet.read_row_group(int(row) % parquet.num_row_groups, use_threads=False).slice(0, 1).to_pylist()
"""

PARTS = """
import json, sys, time
begin = time.perf_counter()
from kedge.app.project import open_project
from kedge.app import trace as module
from kedge.data.lookup import nearest_rows
from kedge.core.trace import parse_receipt
parts = {"import": time.perf_counter() - begin}
project = open_project(sys.argv[1])
def timed(name, call):
    begin = time.perf_counter()
    result = call()
    parts[name] = time.perf_counter() - begin
    return result
receipt = timed("open project, check seal", lambda: parse_receipt(sys.argv[2], project.secret))
answer = timed("open traces, get one", lambda: project.traces.get(receipt.trace))
timed("open ledger", lambda: project.ledger)
text = f"{answer.prompt}\\n{answer.answer}"
walk = timed("walk, verify, nearest rows", lambda: module.walk(project, sys.argv[2]))
timed("nearest rows again, files verified", lambda: nearest_rows(project.blobs, walk.index, text))
print(json.dumps(parts))
"""


def main() -> int:
    """Fill, time, print."""
    options = _options()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kedge-trace-"))
    try:
        receipt = _filled(folder, options.rows, options.traces)
        return _measure(folder, receipt, options.rounds)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    return parser.parse_args()


def _filled(folder: Path, rows: int, traces: int) -> str:
    """A project with everything in it, made or found; the receipt to ask for."""
    done = folder / "filled.json"
    asked = {"rows": rows, "traces": traces}
    if done.exists():
        told = json.loads(done.read_text())
        if told["asked"] == asked:
            return str(told["receipt"])
        raise SystemExit(f"{folder} was filled with {told['asked']}; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kedge.toml").write_text('[project]\nname = "trace-benchmark"\n')
    dataset = _apart("dataset", _write_rows, folder, rows)
    index = _apart("index", _write_index, folder, dataset.digest)
    bundle = _record(folder, dataset, index)
    _apart("traces", _write_traces, folder, traces, bundle)
    project = open_project(folder)
    receipt = Receipt(trace=f"{int(traces * ASKED):032x}", bundle=bundle).sealed(project.secret)
    project.close()
    done.write_text(json.dumps({"asked": asked, "receipt": receipt}))
    return receipt


def _apart(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """A part of the filling in a process of its own, so that its peak memory is its own."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(call, *arguments).result()
        peak = pool.submit(_peak).result()
    print(f"{what:<8} written in {time.perf_counter() - begin:6.1f} s, peak {peak:,.0f} MB", flush=True)
    return result


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rows(count: int) -> Iterator[Row]:
    """Made-up headers, the same each time."""
    chance = random.Random(7)
    for number in range(count):
        name = "_".join(chance.choices(WORDS, k=3)) + (f"_{number % 9973}" if number % 3 else "")
        args = ["self", *chance.sample(WORDS, k=chance.randrange(4))]
        yield make_row(
            input=f"def {name}({', '.join(args)}):",
            target=json.dumps({"name": name, "args": args}),
            source=f"package/module_{number // 40}.py:{number % 40 * 12 + 3}",
            tags={"args": len(args), "module": f"package/module_{number // 40}.py", "name": name},
        )


def _write_rows(folder: Path, count: int) -> Artifact:
    """The headers, read from a file; alike as they are, near ones are not looked for."""
    project = open_project(folder)
    path = folder / "headers.jsonl"
    with path.open("w") as out:
        for row in _rows(count):
            out.write(json.dumps({"input": row.input, "target": row.target, **row.tags}) + "\n")
    request = BuildRequest(
        name="headers",
        sources=(BoundSource(source=SOURCE, options=JsonlOptions(path=str(path))),),
        duplicates=DuplicateOptions(exact=False, near=1.0),
        split=SplitOptions(test=0.02, validation=0),
    )
    made = build(request, root=folder, folder=folder / "work", blobs=project.blobs, progress=Silent())
    return made.artifact


def _write_index(folder: Path, dataset: str) -> Artifact:
    project = open_project(folder)
    return build_index(project.blobs, dataset, folder=folder / "work", progress=Silent())


def _record(folder: Path, dataset: Artifact, index: Artifact) -> str:
    """The runs from the dataset to a registered bundle."""
    project = open_project(folder)
    model = write_artifact(project.blobs, ArtifactKind.MODEL, {}, {"model.safetensors": os.urandom(1 << 16)})
    bundle = write_bundle(project.blobs, Bundle(model=model.digest))
    _run(project, "data", {}, {"dataset": dataset})
    _run(project, "index", {"dataset": dataset}, {"index": index})
    _run(project, "train", {"dataset": dataset}, {"model": model})
    _run(project, "bundle", {"model": model}, {"bundle": bundle})
    now = datetime.now(UTC)
    project.ledger.models.register(
        ModelVersion(name="m", version=0, bundle=bundle.digest, model=model.digest, registered=now, by="user:bench")
    )
    project.close()
    return bundle.digest


def _run(project: Project, step: str, inputs: dict[str, Artifact], outputs: dict[str, Artifact]) -> None:
    now = datetime.now(UTC)
    for artifact in outputs.values():
        project.ledger.artifacts.add(artifact, at=now)
    run = Run(
        id=f"run-{step}",
        stage=step,
        spec=Spec(name=step),
        key=digest_of(step),
        status=RunStatus.RUNNING,
        started=now,
        inputs={port: artifact.digest for port, artifact in inputs.items()},
    )
    project.ledger.runs.start(run)
    made = {port: artifact.digest for port, artifact in outputs.items()}
    project.ledger.runs.finish(run.id, RunStatus.SUCCEEDED, ended=now, outputs=made)


def _write_traces(folder: Path, count: int, bundle: str) -> None:
    """Answers about made-up headers, as fast as the sink takes them without dropping any."""
    project = open_project(folder)
    sink = open_sink(project.config.store.traces)
    begin = time.time() - count
    for number, row in enumerate(_rows(count)):
        trace = Trace(
            id=f"{number:032x}",
            at=begin + number,
            endpoint="headers",
            bundle=bundle,
            key="key",
            route="/v1/completions",
            status=200,
            prompt=row.input,
            answer=row.target,
            latency_ms=40.0,
        )
        sink.add(trace)
        if number % 20_000 == 19_999:
            while project.traces.count() <= number:
                time.sleep(0.02)
    sink.close()
    if sink.dropped or project.traces.count() != count:
        raise SystemExit(f"{sink.dropped} traces were dropped")


def _measure(folder: Path, receipt: str, rounds: int) -> int:
    kedge = [sys.executable, "-m", "kedge", "-C", str(folder), "trace", receipt, "--json"]
    told = json.loads(subprocess.run(kedge, check=True, capture_output=True).stdout)
    near = told["rows"][0]
    print(f"\nreceipt -> {told['bundle'][:19]} -> {told['run']['id']} -> {told['dataset']['rows']:,} rows -> ", end="")
    print(f"{near['id']} {near['source']} (similarity {near['similarity']:.2f})\n")
    traced = _median(kedge, rounds)
    limit = _median([sys.executable, "-c", LIMIT, *_limit_arguments(folder, told)], rounds)
    bare = _median([sys.executable, "-c", "pass"], rounds)
    print(f"whole processes, medians of {rounds}   wall     CPU")
    print(f"kedge trace RECEIPT          {traced[0]:6.3f} s {traced[1]:6.3f} s")
    print(f"the limit                    {limit[0]:6.3f} s {limit[1]:6.3f} s  (bare Python, nothing verified)")
    print(f"Python alone                 {bare[0]:6.3f} s {bare[1]:6.3f} s\n")
    parts = [sys.executable, "-c", PARTS, str(folder), receipt]
    runs = [json.loads(subprocess.run(parts, check=True, capture_output=True).stdout) for _ in range(rounds)]
    for name in runs[0]:
        print(f"  {name:<36} {statistics.median(run[name] for run in runs):6.3f} s")
    print(f"\n{'ok' if traced[0] < TARGET else 'too slow'}: the target is under {TARGET:.0f} s of wall time")
    return 0 if traced[0] < TARGET else 1


def _limit_arguments(folder: Path, told: dict[str, Any]) -> list[str]:
    """The files that the limit reads, straight from the stores."""
    project = open_project(folder)
    index = read_manifest(project.blobs, told["index"])
    data = read_manifest(project.blobs, told["dataset"]["digest"])
    titles = ["postings.npy", "features.npy", "starts.npy"]
    layers = [next(layer for layer in index.layers if layer.title == title) for title in titles]
    layers.append(next(layer for layer in data.layers if layer.title.startswith("train")))
    files = [str(project.blobs.fetch(layer.digest)) for layer in layers]
    databases = [str(folder / ".kedge" / name) for name in ("ledger.db", "traces.db")]
    for database in databases:
        sqlite3.connect(database).close()
    return [*databases, told["trace"], *files]


def _median(command: list[str], rounds: int) -> tuple[float, float]:
    """The median of wall and of CPU seconds."""
    walls, cpus = [], []
    for _ in range(rounds):
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        walls.append(time.perf_counter() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    sys.exit(main())
