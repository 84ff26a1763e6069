"""The line from rows to a promoted version, through the real steps on a tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedge.app import audit, models, runs
from kedge.app.compare import Question, compare_versions
from kedge.app.project import Project, open_project
from kedge.core.errors import Refused
from kedge.core.manifest import export_files, read_config
from kedge.evaluate.report import read_cases, read_evaluation

pytestmark = pytest.mark.slow

TOML = """
[project]
name = "sums"

[stages.data]
step = "dataset"
source = { name = "jsonl", path = "rows.jsonl" }
split = { test = 0.3, validation = 0.1 }

[stages.tokenizer]
step = "tokenizer"
vocabulary = 300

[stages.train]
step = "train"
prompt = "{input}="
shape = { hidden = 32, intermediate = 64, layers = 2, heads = 2, context = 64 }
steps = 4
max_tokens = 64

[stages.bundle]
step = "bundle"
sampling = { max_tokens = 4 }

[stages.evaluate]
step = "evaluate"
cases = 40
scorers = ["exact_match", "perplexity"]
baselines = ["most_common", "nearest"]
slices = ["size"]

[stages.gate]
step = "gate"
rules = [{ metric = "perplexity", at_most = 100000 }]

[stages.register]
step = "register"
model = "sums"
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that was run once."""
    root = tmp_path_factory.mktemp("sums")
    (root / "kedge.toml").write_text(TOML)
    rows = [{"input": f"{a}+{b}", "target": str(a + b), "size": a} for a in range(14) for b in range(14)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    project = open_project(root)
    runs.run(project)
    yield project
    project.close()


def newest(project: Project, port: str) -> str:
    made = [run.outputs[port] for run in runs.listing(project) if port in run.outputs]
    return made[0]


def test_the_bundle_reads_what_the_model_was_trained_with(line: Project) -> None:
    assert read_config(line.blobs, newest(line, "bundle"))["prompt"] == "{input}="


def test_every_case_of_every_answerer_is_kept(line: Project) -> None:
    digest = newest(line, "evaluation")
    evaluation, cases = read_evaluation(line.blobs, digest), read_cases(line.blobs, digest)

    assert evaluation.baselines == ("most_common", "nearest")
    assert len(cases) == 3 * evaluation.cases
    assert evaluation.find("perplexity") is not None
    assert any(result.slice.startswith("size") for result in evaluation.results)


def test_evaluating_again_gives_the_same_digest(line: Project) -> None:
    before = newest(line, "evaluation")

    again = runs.run(line, stages=("evaluate",), force=True)

    assert again.outputs["evaluate"]["evaluation"] == before


def test_the_version_that_passed_can_be_promoted(line: Project) -> None:
    move = models.promote(line, "sums@1")

    assert (move.after, move.override) == (1, False)
    assert audit.verify(line).whole


def test_a_gate_that_fails_ends_the_run_well_and_refuses_the_promotion(line: Project) -> None:
    strict = 'stages.gate.rules=[{ metric = "exact_match", at_least = 0.9 }]'
    result = runs.run(line, sets=(strict, "stages.train.steps=2"))
    other = open_project(line.root, sets=(strict,))
    try:
        with pytest.raises(Refused, match="fail: exact_match"):
            models.promote(other, "sums@2")
    finally:
        other.close()
    assert result.outputs["register"]["card"]
    assert compare_versions(line, "sums@1", "sums@2", [Question()]).answer.n == 40


def test_transformers_loads_the_exported_folder(line: Project, tmp_path: Path) -> None:
    exported = models.export(line, "sums@1", tmp_path / "out")

    tokenizer = AutoTokenizer.from_pretrained(exported.folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(exported.folder, local_files_only=True)
    with torch.inference_mode():
        answer = model.generate(**tokenizer("1+1=", return_tensors="pt"), max_new_tokens=2, do_sample=False)

    assert answer.shape[0] == 1
    assert {"README.md", "card.json", "kedge.json", "model.safetensors"} <= set(exported.files)
    assert "## Gaps" in (tmp_path / "out" / "README.md").read_text()


def test_the_card_on_record_names_the_bundle(line: Project, tmp_path: Path) -> None:
    version = models.show(line, "sums@1").version
    export_files(line.blobs, version.card, tmp_path)

    card = json.loads((tmp_path / "card.json").read_text())

    assert card["bundle"]["digest"] == version.bundle
    assert card["training"]["args"]["steps"] == 4
    assert card["verdict"]["outcome"] == "pass"
