"""Stock tools read the blob store: skopeo copies a model out of it, to another layout and to a registry."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.hashing import digest
from kedge.core.manifest import MANIFEST_TYPE, write_artifact
from kedge.store.blobs.index import publish_refs
from kedge.store.blobs.local import LocalBlobs

pytestmark = pytest.mark.needs("skopeo")

FILES = {
    "model.safetensors": os.urandom(3 << 20),
    "config.json": b'{"hidden_size": 64}',
    "tokenizer.json": b'{"model": {}}',
}


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """A store that holds more than the model: other artifacts, and its own files beside the layout's."""
    blobs = LocalBlobs(tmp_path / "blobs")
    write_artifact(blobs, ArtifactKind.DATASET, {}, {"rows.parquet": b"PAR1"})
    return blobs


@pytest.fixture
def model(blobs: LocalBlobs) -> Artifact:
    artifact = write_artifact(blobs, ArtifactKind.MODEL, {"descriptor": {"name": "schemas"}}, FILES)
    publish_refs(blobs, {"schemas-1": artifact.digest, "schemas-production": artifact.digest})
    return artifact


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a registry of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))  # JSON is YAML
    log = tmp_path / "registry.log"
    command = [shutil.which("docker-registry") or "", "serve", str(tmp_path / "registry.yml")]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_is_copied_to_another_layout(blobs: LocalBlobs, model: Artifact, tmp_path: Path) -> None:
    skopeo("--insecure-policy", "copy", f"oci:{blobs.folder}:schemas-1", f"oci:{tmp_path / 'other'}:schemas-1")
    index = json.loads((tmp_path / "other" / "index.json").read_bytes())
    assert [entry["digest"] for entry in index["manifests"]] == [model.digest]
    there = {path.name for path in (tmp_path / "other" / "blobs" / "sha256").iterdir()}
    assert {digest(content).removeprefix("sha256:") for content in FILES.values()} <= there
    assert len(there) == len(FILES) + 2, "the files, the config and the manifest, and nothing else"


def test_a_copied_layout_is_read_as_a_blob_store(blobs: LocalBlobs, model: Artifact, tmp_path: Path) -> None:
    skopeo("--insecure-policy", "copy", f"oci:{blobs.folder}:schemas-production", f"oci:{tmp_path / 'other'}:x")
    other = LocalBlobs(tmp_path / "other")
    assert other.get(model.digest) == blobs.get(model.digest)
    assert other.get(digest(FILES["model.safetensors"])) == FILES["model.safetensors"]


@pytest.mark.needs("docker-registry")
def test_a_model_is_copied_to_a_registry(blobs: LocalBlobs, model: Artifact, registry: str) -> None:
    target = f"docker://{registry}/models/schemas:1"
    skopeo("--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{blobs.folder}:schemas-1", target)
    assert json.loads(skopeo("inspect", "--tls-verify=false", "--raw", target)) == json.loads(blobs.get(model.digest))
    url = f"http://{registry}/v2/models/schemas/manifests/1"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": MANIFEST_TYPE}), timeout=10) as answer:
        assert answer.headers["Docker-Content-Digest"] == model.digest
        assert digest(answer.read()) == model.digest
    weights = digest(FILES["model.safetensors"])
    with urllib.request.urlopen(f"http://{registry}/v2/models/schemas/blobs/{weights}", timeout=10) as answer:
        assert digest(answer.read()) == weights


@pytest.mark.needs("docker-registry")
def test_a_model_comes_back_from_a_registry(blobs: LocalBlobs, model: Artifact, registry: str, tmp_path: Path) -> None:
    target = f"docker://{registry}/models/schemas:1"
    skopeo("--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{blobs.folder}:schemas-1", target)
    skopeo("--insecure-policy", "copy", "--src-tls-verify=false", target, f"oci:{tmp_path / 'back'}:schemas-1")
    assert LocalBlobs(tmp_path / "back").get(model.digest) == blobs.get(model.digest)
