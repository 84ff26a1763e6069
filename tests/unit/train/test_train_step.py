"""The steps `tokenizer` and `train`: from a dataset in the blobs to a model in the blobs; bases that are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kedge.app.steps.train import digest_base
from kedge.app.work import tokenizer as tokenizer_step
from kedge.app.work import train as train_step
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.errors import Invalid, NotFound, Refused
from kedge.core.manifest import export_files, read_config, read_manifest
from kedge.core.ports import Silent
from kedge.core.step import StepContext
from kedge.data.build import build
from kedge.data.sources import jsonl
from kedge.data.types import BoundSource, BuildRequest, SplitOptions
from kedge.serve.engines.vet import vet_folder
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.training import RecordedMetrics, make_rows, tiny_options
from kedge.train.base import locate_base
from kedge.train.types import TokenizerOptions, TrainResult

BLOBS = MemoryBlobs()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("rows")
    lines = [json.dumps({"input": row.input, "target": row.target}) for row in make_rows(60)]
    (root / "rows.jsonl").write_text("\n".join(lines))
    source = BoundSource(
        source=jsonl.SOURCE, options=jsonl.JsonlOptions(path="rows.jsonl", input="input", target="target")
    )
    request = BuildRequest(name="rows", sources=(source,), split=SplitOptions(test=0.1, validation=0.2))
    return build(request, root=root, folder=root, blobs=BLOBS, progress=Silent()).artifact


def context(root: Path, metrics: RecordedMetrics | None = None, **inputs: Artifact) -> StepContext:
    workdir = root / "work"
    workdir.mkdir(exist_ok=True)
    return StepContext(
        stage="train",
        run="r1",
        inputs=inputs,
        blobs=BLOBS,
        root=root,
        workdir=workdir,
        progress=Silent(),
        metrics=metrics or RecordedMetrics(),
    )


def make_tokenizer(root: Path, dataset: Artifact) -> Artifact:
    options = TokenizerOptions(vocabulary=320, cut="pieces")
    return tokenizer_step.work(context(root, dataset=dataset), options).outputs["tokenizer"]


def test_a_dataset_becomes_a_tokenizer_and_a_model(dataset: Artifact, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path, dataset)
    metrics = RecordedMetrics()
    result = train_step.work(context(tmp_path, metrics, dataset=dataset, tokenizer=tokenizer), tiny_options(steps=20))
    model = result.outputs["model"]
    config = read_config(BLOBS, model.digest)
    export_files(BLOBS, model.digest, tmp_path / "exported")
    vet_folder(tmp_path / "exported")
    assert (tokenizer.kind, model.kind) == (ArtifactKind.TOKENIZER, ArtifactKind.MODEL)
    assert config["config"]["format"] == "safetensors"
    assert config["modelfs"]["diffIds"] == [layer.digest for layer in read_manifest(BLOBS, model.digest).layers]
    assert result.metrics["examples"] > 20
    assert {"final_loss", "final_validation_loss"} <= set(result.metrics)
    assert "validation_loss" in metrics.values


def test_the_step_gives_the_same_artifacts_again(dataset: Artifact, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        root = tmp_path / name
        root.mkdir()
        tokenizer = make_tokenizer(root, dataset)
        outputs = train_step.work(context(root, dataset=dataset, tokenizer=tokenizer), tiny_options(steps=5)).outputs
        found.append((tokenizer.digest, outputs["model"].digest))
    assert found[0] == found[1]


def test_a_model_from_scratch_needs_a_tokenizer(dataset: Artifact, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="needs a tokenizer"):
        train_step.work(context(tmp_path, dataset=dataset), tiny_options(steps=5))


def test_a_base_brings_its_own_tokenizer(dataset: Artifact, trained: TrainResult, tmp_path: Path) -> None:
    options = replace(tiny_options(steps=3), base=str(trained.folder))
    model = train_step.work(context(tmp_path, dataset=dataset), options).outputs["model"]
    layer = read_manifest(BLOBS, model.digest).layer("tokenizer.json")
    assert layer is not None
    assert BLOBS.get(layer.digest) == (trained.folder / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", b"\x80\x02}q\x00."),
        ("modeling_own.py", b"import os"),
        ("tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": "own.Tokenizer"}}'),
        ("config.json", b'{"model_type": "llama", "trust_remote_code": true}'),
    ],
)
def test_a_base_that_could_run_code_is_refused(dataset: Artifact, tmp_path: Path, name: str, content: bytes) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / name).write_bytes(content)
    with pytest.raises(Refused, match=name):
        train_step.work(context(tmp_path, dataset=dataset), replace(tiny_options(steps=3), base="base"))


@pytest.mark.parametrize("base", ["nowhere/model", "./nowhere", "a/b/c/d"])
def test_a_base_that_is_not_here_says_how_it_could_come(tmp_path: Path, base: str) -> None:
    with pytest.raises(NotFound) as missing:
        locate_base(replace(tiny_options(steps=3), base=base), root=tmp_path, workdir=tmp_path)
    assert "download = true" in missing.value.hint


def test_the_digest_of_a_base_covers_every_file(tmp_path: Path) -> None:
    options = replace(tiny_options(steps=3), base="base")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    before = digest_base(options, tmp_path)
    (tmp_path / "base" / "config.json").write_text("{ }")
    assert before != digest_base(options, tmp_path)
    assert digest_base(tiny_options(steps=3), tmp_path) == ""
