"""lm-evaluation-harness: the same cases, the same scores, whether it asks its own model or our engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.evaluator import evaluate as run_tasks
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from kedge.app.steps.evaluate import EvaluateOptions
from kedge.app.steps.harness import HarnessOptions
from kedge.app.work.harness import EngineLM
from kedge.core.bundle import Bundle
from kedge.core.errors import Invalid, NotFound
from kedge.core.ports import Silent
from kedge.serve.engines.open import open_engine

pytestmark = pytest.mark.filterwarnings("ignore")  # the harness and what it brings warn of much

GENERATE = """
task: rests
dataset_path: json
dataset_kwargs: {{ data_files: {{ test: {file} }} }}
output_type: generate_until
test_split: test
doc_to_text: "{{{{input}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs: {{ until: ["\\n", " nine"], max_gen_toks: 24, do_sample: false }}
metric_list:
  - {{ metric: exact_match, aggregation: mean, higher_is_better: true }}
"""
CHOOSE = """
task: endings
dataset_path: json
dataset_kwargs: {{ data_files: {{ test: {file} }} }}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{input}}}}"
doc_to_choice: ["three", "anchor", "ende", "return"]
doc_to_target: "{{{{label}}}}"
metric_list:
  - {{ metric: acc, aggregation: mean, higher_is_better: true }}
  - {{ metric: acc_norm, aggregation: mean, higher_is_better: true }}
"""


@pytest.fixture
def tasks(tmp_path: Path, rests: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tasks over a file of this machine."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))  # for a worker
    folder = tmp_path / "tasks"
    folder.mkdir()
    file = folder / "rests.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rests))
    (folder / "rests.yaml").write_text(GENERATE.format(file=file))
    (folder / "endings.yaml").write_text(CHOOSE.format(file=file))
    return folder


def run(lm: Any, folder: Path) -> Any:
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    loaded = manager.load(["rests", "endings"])
    for task in loaded["tasks"].values():
        task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=1234)
    return run_tasks(lm=lm, task_dict=loaded, bootstrap_iters=0)


def test_our_engine_gets_the_scores_of_the_harness_own_model_case_by_case(
    line: Any, tiny_model: Path, tasks: Path
) -> None:
    torch.set_num_threads(1)
    theirs = run(HFLM(pretrained=str(tiny_model), batch_size=8, device="cpu"), tasks)
    engine = open_engine(Bundle(model="tiny"), tiny_model)
    ours = run(EngineLM(engine, Silent()), tasks)
    engine.close()

    for task in ("rests", "endings"):
        for one, other in zip(theirs["samples"][task], ours["samples"][task], strict=True):
            assert [one[name] for name in one["metrics"]] == [other[name] for name in other["metrics"]]
            assert close(one["filtered_resps"], other["filtered_resps"])

    output = tasks.parent / "output"
    tracker = EvaluationTracker(output_path=str(output))
    tracker.general_config_tracker.model_name_sanitized = "tiny"
    samples = theirs.pop("samples")
    theirs["config"] = {"model": "hf", "model_args": {"pretrained": "tiny"}}
    tracker.save_results_aggregated(results=theirs, samples=samples)
    for task, logged in samples.items():
        tracker.save_results_samples(task_name=task, samples=logged)
    view = line.good("evaluate", "import", str(output))
    again = line.good("evaluate", "import", str(output))

    assert (view["fresh"], again["fresh"], again["digest"]) == (True, False, view["digest"])
    assert view["evaluation"]["subject"] == "hf pretrained=tiny"
    shown = {case["row"]: case["scores"] for case in line.good("evaluate", "show", view["digest"], "--cases")}
    for task, logged in samples.items():
        for sample in logged:
            assert shown[f"{task}/{sample['doc_id']}"] == {name: sample[name] for name in sample["metrics"]}
    reported = view["evaluation"]["detail"]["reported"]
    for result in view["evaluation"]["results"]:
        task = {"exact_match": "rests"}.get(result["metric"], "endings")
        assert result["interval"]["value"] == pytest.approx(reported[task][f"{result['metric']},none"])


def close(one: Any, other: Any) -> bool:
    """The same text, or likelihoods that differ by rounding alone."""
    if isinstance(one[0], str):
        return bool(one == other)
    return all(a[1] == b[1] and abs(a[0] - b[0]) < 1e-3 for a, b in zip(one, other, strict=True))


def test_a_version_runs_the_tasks_of_a_folder(line: Any, tiny_model: Path, tasks: Path, tmp_path: Path) -> None:
    inputs = {"bundle": line.bundle(line.trained(tiny_model))}

    found = line.work("harness", HarnessOptions(tasks=("rests",), include=str(tasks), limit=6), inputs, tmp_path)

    assert found.cases == 6
    assert found.scorers == ("exact_match",)
    assert found.bundle == inputs["bundle"]


def test_a_real_model_is_scored_with_likelihood_confidence_and_examples(
    line: Any, rests: Any, tiny_model: Path, tmp_path: Path
) -> None:
    line.data(rests)
    inputs = {"bundle": line.bundle(line.trained(tiny_model)), "dataset": line.good("data", "list")[-1]["digest"]}
    options = EvaluateOptions(
        scorers=("exact_match", "perplexity", "calibration", {"name": "latency", "cases": 2}),
        baselines=(),
        shots=(1,),
    )

    found = line.work("evaluate", options, inputs, tmp_path / "first")
    (tmp_path / "first" / "bundle" / "model.safetensors").unlink()
    again = line.work("evaluate", options, inputs, tmp_path / "second")

    def value(metric: str, answerer: str = "model") -> float:
        result = found.find(metric, answerer=answerer)
        assert result is not None
        return float(result.interval.value)

    assert value("exact_match") > 0.7
    assert 1.0 < value("perplexity") < 5.0
    assert 0.0 < value("ece") < 0.5
    assert value("exact_match", "few_shot_1") <= value("exact_match")
    assert found.lower == ("perplexity", "ece", "brier", "latency")
    assert again == found
    assert not (tmp_path / "second").exists()  # nothing was asked, and no model loaded


def test_a_base_model_is_asked_beside_the_one_that_was_trained_from_it(
    line: Any, rests: Any, tiny_model: Path, tmp_path: Path
) -> None:
    line.data(rests)
    inputs = {"bundle": line.bundle(line.trained(tiny_model)), "dataset": line.good("data", "list")[-1]["digest"]}
    trained = {"step": "train", "key": "k", "args": {"base": str(tiny_model)}}

    found = line.work("evaluate", EvaluateOptions(baselines=(), cases=4), inputs, tmp_path / "a", runs=[trained])

    assert found.baselines == ("zero_shot", "few_shot_4")
    gone = {**trained, "key": "l", "args": {"base": str(tmp_path / "gone")}}
    with pytest.raises(NotFound) as caught:
        line.work("evaluate", EvaluateOptions(baselines=(), cases=4), inputs, tmp_path / "b", runs=[gone])
    assert "shots = []" in caught.value.hint


def test_what_an_engine_cannot_tell_is_said() -> None:
    class Dummy:
        """Never asked."""

    lm = EngineLM(Dummy(), Silent())  # type: ignore[arg-type]  # refused before it is asked
    for asked in (lm.loglikelihood, lm.loglikelihood_rolling):
        with pytest.raises(Invalid, match=r"."):
            asked([Instance(request_type="loglikelihood", doc={}, arguments=("", "x"), idx=0)])
