"""A project whose blobs are on S3: garbage collection and the published index."""

from __future__ import annotations

import json
import time
from pathlib import Path

import obstore

from kedge.app import gc, models
from kedge.app.project import open_project
from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.manifest import write_artifact
from kedge.registry.bundle import write_bundle
from kedge.store.blobs.objects import ObjectBlobs


def test_a_project_on_s3_is_collected_and_its_models_are_named(s3_url: str, tmp_path: Path) -> None:
    (tmp_path / "kedge.toml").write_text(f'[project]\nname = "yard"\n\n[store]\nblobs = "{s3_url}"\n')
    project = open_project(tmp_path)
    blobs = project.blobs
    assert isinstance(blobs, ObjectBlobs)
    model = write_artifact(blobs, ArtifactKind.MODEL, {}, {"model.safetensors": b"weights"})
    bundle = write_bundle(blobs, Bundle(model=model.digest))
    garbage = write_artifact(blobs, ArtifactKind.REPORT, {}, {"report.json": b"only here"})
    for artifact in (model, bundle, garbage):
        project.ledger.artifacts.add(artifact, at=project.clock.now())
    models.register(project, "schemas", bundle.digest)
    first = gc.collect(project)
    assert (first.artifacts, first.blobs) == ((garbage,), 0), "forgotten, but its blobs are too new to go"
    time.sleep(0.01)
    assert gc.collect(project, grace=0).blobs == 2
    assert {artifact.digest for artifact in project.ledger.artifacts.all()} == {model.digest, bundle.digest}
    index = json.loads(bytes(obstore.get(blobs._store, "index.json").bytes()))
    assert [entry["digest"] for entry in index["manifests"]] == [bundle.digest, bundle.digest]
    project.close()
