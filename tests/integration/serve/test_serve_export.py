"""From a model to an export, a bundle, and answers over HTTP: recorded, checked, and never of another precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from kedge.app.steps.bundle import BundleOptions
from kedge.app.steps.export import ExportOptions
from kedge.app.work.bundle import work as bind_bundle
from kedge.app.work.export import work as make_export
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Failed, Invalid
from kedge.core.manifest import export_files, read_config, write_artifact
from kedge.core.ports import BlobStore
from kedge.core.spec import Spec
from kedge.core.step import StepContext, StepResult
from kedge.registry.bundle import read_bundle, write_bundle
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.run import generate
from kedge.serve.engines.vet import vet_folder
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.models import SENTENCES
from kedge.testing.progress import RecordingProgress
from kedge.testing.training import RecordedMetrics


def store(blobs: BlobStore, folder: Path) -> Artifact:
    return write_artifact(blobs, ArtifactKind.MODEL, {}, {path.name: path for path in folder.iterdir()})


def context(blobs: BlobStore, workdir: Path, **inputs: Artifact) -> StepContext:
    workdir.mkdir(parents=True, exist_ok=True)
    return StepContext(
        stage="export",
        run="run-1",
        inputs=inputs,
        blobs=blobs,
        root=workdir,
        workdir=workdir,
        progress=RecordingProgress(),
        metrics=RecordedMetrics(),
    )


@pytest.fixture(scope="module")
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(scope="module")
def model(blobs: MemoryBlobs, tiny_model: Path) -> Artifact:
    return store(blobs, tiny_model)


@pytest.fixture(scope="module")
def exported(blobs: MemoryBlobs, model: Artifact, tmp_path_factory: pytest.TempPathFactory) -> StepResult:
    return make_export(context(blobs, tmp_path_factory.mktemp("export"), model=model), ExportOptions())


def test_an_export_at_equal_precision_agrees_with_its_model(
    blobs: MemoryBlobs, model: Artifact, exported: StepResult
) -> None:
    metrics = exported.metrics
    assert (metrics["tokenization"], metrics["greedy_agreement"], metrics["token_agreement"]) == (1, 1, 1)
    assert metrics["prompts"] > 5
    said = read_config(blobs, exported.outputs["export"].digest)
    assert said["kedge"]["export"]["model"] == model.digest
    assert said["config"]["precision"] == "fp32"


def test_a_bundle_with_an_export_has_the_fast_engine_and_says_its_precision(
    blobs: MemoryBlobs, model: Artifact, exported: StepResult, tmp_path: Path
) -> None:
    export = exported.outputs["export"]
    made = bind_bundle(context(blobs, tmp_path, model=model, export=export), BundleOptions()).outputs["bundle"]
    bundle = read_bundle(blobs, made.digest)
    assert (bundle.model, bundle.export) == (model.digest, export.digest)
    assert bundle.engine == Spec(name="openvino", args={"precision": "fp32"})
    export_files(blobs, made.digest, tmp_path / "files")
    vet_folder(tmp_path / "files")
    bundle = replace(bundle, engine=Spec(name="openvino", args={"cache_mb": 16, "threads": 1}))
    engine = open_engine(bundle, tmp_path / "files")
    assert generate(engine, [_asked("one two three")]) == {"a": SENTENCES[0].removeprefix("one two three")}


def _asked(prompt: str) -> Any:
    from kedge.core.generation import GenerationRequest

    return GenerationRequest(id="a", prompt=prompt, sampling=Sampling(max_tokens=60))


def test_a_bundle_without_an_export_has_the_reference(blobs: MemoryBlobs, model: Artifact, tmp_path: Path) -> None:
    made = bind_bundle(context(blobs, tmp_path, model=model), BundleOptions()).outputs["bundle"]
    assert read_bundle(blobs, made.digest).engine == Spec(name="transformers")


def test_another_precision_or_another_models_export_is_not_bound(
    blobs: MemoryBlobs, model: Artifact, exported: StepResult, tiny_model: Path, tmp_path: Path
) -> None:
    export = exported.outputs["export"]
    options = BundleOptions(engine=Spec(name="openvino", args={"precision": "int8"}))
    with pytest.raises(Invalid, match="is to have int8, and the export is fp32"):
        bind_bundle(context(blobs, tmp_path, model=model, export=export), options)
    other = write_artifact(blobs, ArtifactKind.MODEL, {}, {"config.json": tiny_model / "config.json"})
    with pytest.raises(Invalid, match="made from another model"):
        write_bundle(blobs, Bundle(model=other.digest, export=export.digest))


def test_int8_is_measured_and_passes_only_what_is_asked_of_it(
    blobs: MemoryBlobs, model: Artifact, tmp_path: Path
) -> None:
    options = ExportOptions(precision="int8", prompts=4, tokens=8)
    made = make_export(context(blobs, tmp_path / "int8", model=model), options)
    assert 0 < made.metrics["rounding_error"] < 0.01
    assert 0 <= made.metrics["greedy_agreement"] <= 1
    assert read_config(blobs, made.outputs["export"].digest)["config"]["precision"] == "int8"


def test_an_export_that_answers_otherwise_is_refused(
    blobs: MemoryBlobs, model: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph whose numbers are damaged on the way to the disk is found out before anybody is answered by it."""
    import openvino

    def damaged(graph: Any, path: Path, **more: Any) -> None:
        save(graph, path, **more)
        weights = path.with_suffix(".bin")
        data = bytearray(weights.read_bytes())
        data[20_000:40_000] = bytes(20_000)
        weights.write_bytes(data)

    save = openvino.save_model
    monkeypatch.setattr(openvino, "save_model", damaged)
    with pytest.raises(Failed, match="greedy answers") as caught:
        make_export(context(blobs, tmp_path / "damaged", model=model), ExportOptions(prompts=4, tokens=16))
    assert "transformers" in caught.value.hint


def test_an_exported_model_answers_over_http(line: Any, serve: Callable[..., Any], tiny_model: Path) -> None:
    project = line.project
    model = store(project.blobs, tiny_model)
    options = ExportOptions(prompts=2, tokens=4)
    export = make_export(context(project.blobs, project.root / "work", model=model), options).outputs["export"]
    engine = Spec(name="openvino", args={"cache_mb": 16, "threads": 1, "precision": "fp32"})
    bundle = Bundle(model=model.digest, export=export.digest, engine=engine, sampling=Sampling(max_tokens=60))
    line.promote(line.record(write_bundle(project.blobs, bundle), model, export))
    with serve(project) as served:
        headers = {"authorization": f"Bearer {line.secret}"}
        body = {"model": "words", "prompt": "one two three"}
        answer = httpx.post(f"{served.url}/v1/completions", json=body, headers=headers, timeout=60, trust_env=False)
        assert answer.json()["choices"][0]["text"] == SENTENCES[0].removeprefix("one two three")
        assert served.stop() == 0
