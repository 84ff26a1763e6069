"""Evaluation speed: the same cases through kedge and through lm-evaluation-harness on its `hf` model, batch size auto.

    python benchmarks/evaluation.py [--cases 2000] [--repeats 3] [--folder FOLDER]

Trains the model that `kedge demo` trains, asks it to write the schemas of function headers, and measures whole commands
from start to end: kedge on its engine for processors (`openvino`, over an fp32 export) and on `transformers`, and the
harness. Then it adds scorers to the finished evaluation. Every case's score is compared with the harness' own. Exits 1 if
the fast engine is less than 3 times as fast as the harness, a scorer costs 2 s or more, or a score differs. Needs
`kedge[lm-eval,openvino]`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TOML = """
[project]
name = "speed"

[stages.data]
step = "dataset"
name = "cases"
source = {{ name = "python-functions", tests = true }}
split = {{ group = "module", test = {test}, validation = 0.02 }}

[stages.tokenizer]
step = "tokenizer"
vocabulary = 1024
cut = "pieces"

[stages.train]
step = "train"
prompt = "{{input}}\\n"
shape = {{ hidden = 128, intermediate = 384, layers = 3, heads = 4, context = 512 }}
precision = "float32"
steps = {steps}
batch_tokens = 1024
max_tokens = 256

[stages.bundle]
step = "bundle"
prompt = "{{input}}\\n"
sampling = {{ temperature = 0.0, max_tokens = {tokens} }}
engine = {{ name = "transformers" }}

[stages.export]
step = "export"

[stages.fast]
step = "bundle"
prompt = "{{input}}\\n"
sampling = {{ temperature = 0.0, max_tokens = {tokens} }}
"""
ENGINES = {"openvino": "fast", "transformers": "speed"}  # the names of the versions

TASK = """
task: schemas
dataset_path: json
dataset_kwargs: {{ data_files: {{ test: {file} }} }}
output_type: generate_until
test_split: test
doc_to_text: "{{{{input}}}}\\n"
doc_to_target: "{{{{target}}}}"
num_fewshot: 0
generation_kwargs: {{ until: ["\\n\\n"], max_gen_toks: {tokens}, do_sample: false }}
metric_list:
  - {{ metric: exact_match, aggregation: mean, higher_is_better: true }}
"""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of a command: by the clock, and of processors."""

    wall: float
    cpu: float
    said: str


def command(words: list[str], folder: Path) -> Took:
    """A command's time; what it prints on stdout is kept, the rest is shown when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True, env=environment)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout + done.stderr)


def kedge(folder: Path, *words: str) -> Took:
    """One command of ours."""
    return command([sys.executable, "-m", "kedge", *words, "--json"], folder)


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """A project with a trained model and a dataset; done once for a folder."""
    if (folder / "model").exists():
        return
    (folder / "kedge.toml").write_text(TOML.format(steps=arguments.steps, test=arguments.test, tokens=arguments.tokens))
    print(f"training for {arguments.steps} steps, {kedge(folder, 'run').wall:.0f} s")
    command([sys.executable, "-c", EXPORT], folder)


EXPORT = """
from pathlib import Path
from kedge.app import models
from kedge.app.project import open_project
from kedge.core.ledger import RunQuery
from kedge.core.manifest import export_files
project = open_project(".")
for stage, name in (("bundle", "speed"), ("fast", "fast")):
    bundle = project.ledger.runs.search(RunQuery(where=f"stage = '{stage}'", limit=1))[0].outputs["bundle"]
    models.register(project, name, bundle)
    if name == "speed":
        export_files(project.blobs, bundle, Path("model"))
"""


def write_cases(folder: Path, tokens: int) -> None:
    """The very cases of our evaluation as a task of the harness."""
    command([sys.executable, "-c", CASES], folder)
    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    (tasks / "schemas.yaml").write_text(TASK.format(file=folder / "cases.jsonl", tokens=tokens))


CASES = """
import json
from kedge.app import data, evaluations
from kedge.app.project import open_project
from kedge.data.read import read_rows
project = open_project(".")
view = evaluations.listing(project, limit=1)[0]
rows = {row.id: row for row in read_rows(project.blobs, view.evaluation.dataset)}
cases = evaluations.cases(project, view.digest)
with open("cases.jsonl", "w") as file:
    for case in cases:
        row = rows[case.row]
        file.write(json.dumps({"id": row.id, "input": row.input, "target": row.target}) + "\\n")
"""


def evaluate(folder: Path, version: str, cases: int, *more: str) -> Took:
    """Our evaluation."""
    words = ("evaluate", f"{version}@1", "--data", "cases", "--cases", str(cases), "--scorer", "exact_match", *more)
    return kedge(folder, *words)


def forget(folder: Path) -> None:
    """Nothing is answered from memory."""
    for file in (folder / ".kedge/cache/answers").glob("*.jsonl"):
        file.unlink()


def harness(folder: Path, output: Path) -> Took:
    """The harness' own command."""
    words = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={folder / 'model'}"]
    words += ["--tasks", "schemas", "--include_path", str(folder / "tasks"), "--batch_size", "auto", "--device", "cpu"]
    return command([*words, "--log_samples", "--output_path", str(output)], folder)


def per_case(output: Path, folder: Path) -> dict[str, float]:
    """The harness' score of each case."""
    ids = [json.loads(line)["id"] for line in (folder / "cases.jsonl").read_text().splitlines()]
    file = max(output.rglob("samples_schemas_*.jsonl"))
    samples = [json.loads(line) for line in file.read_text().splitlines()]
    return {ids[sample["doc_id"]]: float(sample["exact_match"]) for sample in samples}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--test", type=float, default=0.2)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = (arguments.folder or Path(tempfile.mkdtemp(prefix="kedge-evaluation-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, arguments)
    ours: dict[str, list[Took]] = {engine: [] for engine in ENGINES}
    theirs = []
    for number in range(arguments.repeats):
        forget(folder)
        for engine, version in ENGINES.items():
            ours[engine].append(evaluate(folder, version, arguments.cases, "--force"))
        if not number:
            write_cases(folder, arguments.tokens)
        theirs.append(harness(folder, folder / f"output-{number}"))
    added = [
        evaluate(folder, version, arguments.cases, "--scorer", name)
        for version in ENGINES.values()
        for name in ("token_f1", "valid_json", "bleu")
    ]
    print(f"{arguments.cases} cases, {os.cpu_count()} processors, folder {folder}")
    ratios = {engine: report(f"kedge, {engine}", runs, theirs) for engine, runs in ours.items()}
    report("lm_eval hf, batch auto", theirs, theirs)
    report("with another scorer", added, theirs)
    known = per_case(folder / f"output-{arguments.repeats - 1}", folder)
    differing = {engine: compare(folder, version, known) for engine, version in ENGINES.items()}
    slowest = max(run.wall for run in added)
    print(
        f"ratio {ratios['openvino']:.2f} (at least 3 promised), the slowest scorer added in {slowest:.2f} s (under 2 promised)"
    )
    print(f"cases whose score differs from the harness': {differing}")
    return int(ratios["openvino"] < 3 or slowest >= 2 or any(differing.values()))


def report(name: str, runs: list[Took], theirs: list[Took]) -> float:
    """One line of figures; how many times as fast as the harness."""
    walls = ", ".join(f"{run.wall:.2f}" for run in runs)
    wall, cpu = median(run.wall for run in runs), median(run.cpu for run in runs)
    ratio = median(run.wall for run in theirs) / wall
    print(f"{name:<24} {wall:8.2f} s  CPU {cpu:8.2f} s  {ratio:6.2f}x  ({walls})")
    return ratio


def compare(folder: Path, version: str, yours: dict[str, float]) -> int:
    """How many cases are scored otherwise."""
    shown = kedge(folder, "evaluate", "show", f"{version}@1", "--cases").said
    mine = {case["row"]: case["scores"]["exact_match"] for case in json.loads(shown.splitlines()[0])}
    return len({case for case in mine if mine[case] != yours.get(case)} | (yours.keys() - mine.keys()))


if __name__ == "__main__":
    raise SystemExit(main())
