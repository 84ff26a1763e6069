"""Evaluation speed: the same cases through kedge and through lm-evaluation-harness on its `hf` model, batch size auto.

    python benchmarks/evaluation.py [--cases 2000] [--repeats 3] [--folder FOLDER]

Trains the model that `kedge demo` trains (or takes a folder with one: --model), asks it to write the schemas of function
headers, and measures whole commands as well as the asking alone; then adds a scorer to the finished evaluation. Needs
`kedge[lm-eval]` and data enough: the standard library's own functions.
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
"""
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
bundle = project.ledger.runs.search(RunQuery(where="stage = 'bundle'", limit=1))[0].outputs["bundle"]
models.register(project, "speed", bundle)
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


def evaluate(folder: Path, cases: int, *more: str) -> Took:
    """Our evaluation."""
    words = ("evaluate", "speed@1", "--data", "cases", "--cases", str(cases), "--scorer", "exact_match", *more)
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
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
    ours, theirs = [], []
    for number in range(arguments.repeats):
        forget(folder)
        ours.append(evaluate(folder, arguments.cases, "--force"))
        if not number:
            write_cases(folder, arguments.tokens)
        theirs.append(harness(folder, folder / f"output-{number}"))
    added = [evaluate(folder, arguments.cases, "--scorer", name) for name in ("token_f1", "valid_json", "bleu")]
    report(arguments, folder, ours, theirs, added)
    differing = compare(folder, arguments.repeats - 1)
    print(f"cases whose score differs: {differing} of {arguments.cases}")


def report(
    arguments: argparse.Namespace, folder: Path, ours: list[Took], theirs: list[Took], added: list[Took]
) -> None:
    """The figures."""
    for name, runs in (("kedge evaluate", ours), ("lm_eval hf, batch auto", theirs), ("with another scorer", added)):
        walls = ", ".join(f"{run.wall:.2f}" for run in runs)
        print(f"{name:<24} {median(r.wall for r in runs):8.2f} s  CPU {median(r.cpu for r in runs):8.2f} s   ({walls})")
    ratio = median(run.wall for run in theirs) / median(run.wall for run in ours)
    print(
        f"ratio {ratio:.2f} (at least 3 promised), adding a scorer {max(r.wall for r in added):.2f} s (under 2 promised)"
    )
    print(f"{arguments.cases} cases, {os.cpu_count()} processors, folder {folder}")


def compare(folder: Path, number: int) -> int:
    """How many cases are scored otherwise."""
    newest = json.loads(kedge(folder, "evaluate", "list").said.splitlines()[0])[0]["digest"]
    shown = kedge(folder, "evaluate", "show", newest, "--cases").said
    mine = {case["row"]: case["scores"]["exact_match"] for case in json.loads(shown.splitlines()[0])}
    yours = per_case(folder / f"output-{number}", folder)
    differing = {case for case in mine if mine[case] != yours.get(case)}
    return len(differing | (yours.keys() - mine.keys()))


if __name__ == "__main__":
    main()
