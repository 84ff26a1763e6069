"""Training: it learns, twice the same, through a kill, from scratch and from a base."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kedge.app.work.train import write_model
from kedge.core.adapter import CONFIG, FOLDER, WEIGHTS
from kedge.core.errors import Failed, Invalid
from kedge.core.manifest import read_manifest
from kedge.core.ports import Silent
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.progress import RecordingProgress
from kedge.testing.training import TINY, RecordedMetrics, make_rows, tiny_options, tiny_request, tiny_train
from kedge.train.loop import Reports
from kedge.train.train import train
from kedge.train.types import LoraOptions, TrainResult


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def answer(folder: Path, prompt: str) -> str:
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(prompt, return_tensors="pt")
    out = model.generate(**ids, do_sample=False, max_new_tokens=40)
    return str(tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))


def test_it_learns_rows_by_heart_and_transformers_reads_it(trained: TrainResult) -> None:
    row = make_rows(1)[0]
    assert trained.loss < 0.3
    assert answer(trained.folder, row.input + "\n") == row.target


def test_the_folder_holds_weights_and_words_and_nothing_that_runs(trained: TrainResult) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert "implementation" not in (trained.folder / "config.json").read_text()


def test_two_trainings_give_the_same_digest(tmp_path: Path) -> None:
    first, second = (tiny_train(tmp_path / name, tiny_options(steps=30)) for name in ("a", "b"))
    assert digest(first.folder) == digest(second.folder)
    assert digest(first.folder) != digest(tiny_train(tmp_path / "c", replace(tiny_options(steps=30), seed=1)).folder)


def test_how_often_it_reports_and_saves_changes_nothing(tmp_path: Path) -> None:
    quiet = tiny_train(tmp_path / "a", tiny_options(steps=20))
    busy = tiny_train(tmp_path / "b", replace(tiny_options(steps=20, checkpoint_every=3), log_every=1))
    assert digest(quiet.folder) == digest(busy.folder)


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    wider = replace(TINY, hidden=64, intermediate=192, heads=4)
    options = replace(tiny_options(steps=6), shape=wider, batch_tokens=1024)
    digests = {digest(tiny_train(tmp_path / str(n), replace(options, threads=n)).folder) for n in (1, 2, 3)}
    torch.set_num_threads(1)
    assert len(digests) == 1


def test_killed_and_run_again_it_gives_the_same_digest(trained: TrainResult, tmp_path: Path) -> None:
    steps, every = trained.steps, 20
    process = subprocess.Popen([sys.executable, "-m", "kedge.testing.training", str(tmp_path), str(steps), str(every)])
    folder = tmp_path / "checkpoints"
    while len(list(folder.glob("step-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "model").exists()
    resumed = tiny_train(tmp_path, tiny_options(steps=steps, checkpoint_every=every))
    assert every <= resumed.resumed_from < steps
    assert digest(resumed.folder) == digest(trained.folder)
    assert (resumed.loss, resumed.tokens) == (trained.loss, trained.tokens)


class Interrupting(RecordedMetrics):
    """Breaks a training off when it reports a step."""

    def log(self, name: str, value: float, step: int = 0) -> None:
        if step >= 14:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", ["full", "lora"])
def test_broken_off_and_run_again_dropout_and_losses_are_the_same(
    trained: TrainResult, tmp_path: Path, method: Literal["full", "lora"]
) -> None:
    options = replace(
        tiny_options(steps=20, checkpoint_every=5),
        base=str(trained.folder),
        method=method,
        lora=LoraOptions(rank=2, dropout=0.3),
        log_every=7,
        validate_every=10,
    )
    request = tiny_request(tmp_path / "a", options, base=trained.folder)
    with pytest.raises(KeyboardInterrupt):
        train(request, Reports(progress=Silent(), metrics=Interrupting()))
    resumed = train(request, Reports(progress=Silent(), metrics=RecordedMetrics()))
    whole = tiny_train(tmp_path / "b", options, base=trained.folder)
    assert resumed.resumed_from == 10
    assert digest(resumed.folder) == digest(whole.folder)
    assert (resumed.loss, resumed.validation_loss) == (whole.loss, whole.validation_loss)


def test_killed_after_the_last_step_it_only_writes_the_model(trained: TrainResult) -> None:
    workdir = trained.folder.parent
    again = tiny_train(workdir, tiny_options(steps=400))
    assert (again.resumed_from, again.steps) == (400, 400)
    assert (again.loss, again.validation_loss) == (trained.loss, trained.validation_loss)


def test_it_tells_how_it_goes(tmp_path: Path) -> None:
    metrics, progress = RecordedMetrics(), RecordingProgress()
    train(tiny_request(tmp_path, tiny_options(steps=40)), Reports(progress=progress, metrics=metrics))
    assert [step for step, _ in metrics.values["loss"]] == [10, 20, 30, 40]
    assert [step for step, _ in metrics.values["validation_loss"]] == [20, 40]
    assert {"perplexity", "learning_rate", "tokens_per_second"} <= set(metrics.values)
    assert metrics.values["loss"][-1][1] < metrics.values["loss"][0][1]
    assert progress.tasks[-1].done == progress.tasks[-1].total == 40
    assert progress.facts["precision"] == "float32"


def test_a_rate_far_too_high_stops_the_training(tmp_path: Path) -> None:
    options = replace(tiny_options(steps=200), optimizer="adamw", learning_rate=50.0, warmup=0.0, clip=0.0)
    with pytest.raises(Failed, match=r"stopped at step \d+") as stopped:
        tiny_train(tmp_path, options)
    assert "learning_rate" in stopped.value.hint
    assert not (tmp_path / "model").exists()


def test_nothing_to_learn_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="too long"):
        tiny_train(tmp_path, replace(tiny_options(steps=5), max_tokens=3))


def test_a_base_model_is_tuned_in_full(trained: TrainResult, tmp_path: Path) -> None:
    options = replace(tiny_options(steps=5), base=str(trained.folder))
    tuned = tiny_train(tmp_path, options, base=trained.folder)
    assert tuned.trained == tuned.parameters == trained.parameters
    assert digest(tuned.folder) != digest(trained.folder)
    assert tuned.loss < 1.0


def test_lora_moves_a_base_model_through_small_matrices(trained: TrainResult, tmp_path: Path) -> None:
    options = replace(
        tiny_options(steps=10, checkpoint_every=5),
        base=str(trained.folder),
        method="lora",
        lora=LoraOptions(rank=2, dropout=0.1),
    )
    results = [tiny_train(tmp_path / name, options, base=trained.folder) for name in ("a", "b")]
    before, after = (load_file(folder / "model.safetensors") for folder in (trained.folder, results[0].folder))
    assert results[0].trained < trained.parameters / 5
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert digest(results[0].folder) == digest(results[1].folder)


def test_lora_targets_that_are_not_there_are_named(trained: TrainResult, tmp_path: Path) -> None:
    options = replace(
        tiny_options(steps=5), base=str(trained.folder), method="lora", lora=LoraOptions(targets=("nothing",))
    )
    with pytest.raises(Invalid, match="nothing"):
        tiny_train(tmp_path, options, base=trained.folder)


def apart(trained: TrainResult, folder: Path, **more: Any) -> TrainResult:
    """A training that keeps its adapter beside the base."""
    options = replace(
        tiny_options(steps=10), base=str(trained.folder), method="lora", lora=LoraOptions(rank=2, merge=False), **more
    )
    return tiny_train(folder, options, base=trained.folder)


def test_an_adapter_kept_apart_leaves_the_base_as_it_was(trained: TrainResult, tmp_path: Path) -> None:
    results = [apart(trained, tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    adapters = [(each.folder / FOLDER / WEIGHTS).read_bytes() for each in results]
    assert digest(results[0].folder) == digest(results[1].folder)
    assert adapters[0] != adapters[1]
    assert str(tmp_path) not in (results[0].folder / FOLDER / CONFIG).read_text()
    before, after = (load_file(folder / "model.safetensors") for folder in (trained.folder, results[0].folder))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_adapter_kept_apart_says_what_the_merged_model_says(trained: TrainResult, tmp_path: Path) -> None:
    kept = apart(trained, tmp_path / "apart")
    merged = replace(tiny_options(steps=10), base=str(trained.folder), method="lora", lora=LoraOptions(rank=2))
    whole = tiny_train(tmp_path / "merged", merged, base=trained.folder)
    model: Any = AutoModelForCausalLM.from_pretrained(kept.folder)
    joined = PeftModel.from_pretrained(model, kept.folder / FOLDER).merge_and_unload().state_dict()
    expected = load_file(whole.folder / "model.safetensors")
    assert all(torch.allclose(joined[name], tensor, atol=1e-6) for name, tensor in expected.items())


def test_models_of_one_base_share_its_blobs(trained: TrainResult, tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    artifacts = [write_model(blobs, apart(trained, tmp_path / str(seed), seed=seed)) for seed in (1, 2)]
    first, second = (read_manifest(blobs, artifact.digest) for artifact in artifacts)
    apart_from = {layer.title for layer in first.layers if layer not in second.layers}
    assert apart_from == {f"{FOLDER}/{WEIGHTS}"}
    assert f"{FOLDER}/{CONFIG}" in {layer.title for layer in first.layers}


def test_a_base_with_an_adapter_beside_it_is_not_trained_as_if_it_had_none(
    trained: TrainResult, tmp_path: Path
) -> None:
    kept = apart(trained, tmp_path / "a")
    with pytest.raises(Invalid, match="adapter beside it"):
        tiny_train(tmp_path / "b", replace(tiny_options(steps=5), base=str(kept.folder)), base=kept.folder)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_an_adapter_of_embeddings_is_not_kept_apart(trained: TrainResult, tmp_path: Path) -> None:
    lora = LoraOptions(rank=2, merge=False, targets=("embed_tokens",))
    options = replace(tiny_options(steps=5), base=str(trained.folder), method="lora", lora=lora)
    with pytest.raises(Invalid, match="embeddings"):
        tiny_train(tmp_path, options, base=trained.folder)
