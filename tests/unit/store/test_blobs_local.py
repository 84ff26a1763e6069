"""Blobs in a folder."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Broken, Invalid, NotFound, Unavailable
from kedge.core.manifest import write_artifact
from kedge.core.ports import BlobStore
from kedge.store.blobs.index import publish_refs, ref_name
from kedge.store.blobs.local import LocalBlobs
from kedge.store.blobs.open import open_blobs
from kedge.testing.blobs import BlobStoreSuite


def file_of(blobs: LocalBlobs, digest: str) -> Path:
    return blobs.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")


class TestLocalBlobs(BlobStoreSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return open_blobs(str(tmp_path / "blobs"), cache=tmp_path / "cache")

    def damage(self, blobs: BlobStore, digest: str, data: bytes) -> None:
        assert isinstance(blobs, LocalBlobs)
        path = file_of(blobs, digest)
        path.chmod(0o644)
        path.write_bytes(data)


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def test_the_folder_is_an_oci_layout(blobs: LocalBlobs) -> None:
    assert json.loads((blobs.folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_a_file_url_opens_the_folder(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}/with%20space", cache=tmp_path / "cache")
    blobs.put(b"haul")
    assert (tmp_path / "with space" / "blobs").is_dir()


def test_an_unknown_scheme_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="did you mean 's3'"):
        open_blobs("s33://bucket", cache=tmp_path)


def test_blobs_cannot_be_written_to(blobs: LocalBlobs) -> None:
    path = blobs.fetch(blobs.put(b"haul"))
    assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0


def test_nothing_is_left_beside_the_blobs(blobs: LocalBlobs, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"haul")
    blobs.put(b"haul")
    blobs.put_file(tmp_path / "file")
    assert list((blobs.folder / "tmp").iterdir()) == []


def test_what_a_killed_process_left_is_removed_a_day_later(blobs: LocalBlobs) -> None:
    for name, age in (("old", 25 * 3600), ("new", 3600)):
        (blobs.folder / "tmp" / name).touch()
        os.utime(blobs.folder / "tmp" / name, times=(0, time.time() - age))
    LocalBlobs(blobs.folder)
    assert [path.name for path in (blobs.folder / "tmp").iterdir()] == ["new"]


def test_putting_again_makes_a_blob_new(blobs: LocalBlobs) -> None:
    digest = blobs.put(b"haul")
    os.utime(file_of(blobs, digest), times=(0, 0))
    blobs.put(b"haul")
    assert not blobs.delete(digest, before=time.time() - 60)
    assert blobs.get(digest) == b"haul"


def test_a_blob_fetched_before_is_verified_again_when_it_changed(blobs: LocalBlobs) -> None:
    digest = blobs.put(b"haul")
    path = blobs.fetch(digest)
    path.chmod(0o644)
    path.write_bytes(b"HAUL")
    os.utime(path, times=(0, 0))
    with pytest.raises(Broken, match="damaged"):
        blobs.fetch(digest)


def test_other_files_among_the_blobs_are_not_blobs(blobs: LocalBlobs) -> None:
    digest = blobs.put(b"haul")
    file_of(blobs, digest).with_name("README").write_text("not ours")
    assert [info.digest for info in blobs.list()] == [digest]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="is there space"):
        LocalBlobs(tmp_path / "file" / "blobs")


def test_the_index_names_artifacts_for_stock_tools(blobs: LocalBlobs) -> None:
    artifact = write_artifact(blobs, ArtifactKind.MODEL, {}, {"model.safetensors": b"weights"})
    publish_refs(blobs, {ref_name("schemas", 1): artifact.digest, ref_name("schemas", "production"): artifact.digest})
    index = json.loads((blobs.folder / "index.json").read_bytes())
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]]
    assert names == ["schemas-1", "schemas-production"]
    assert {entry["digest"] for entry in index["manifests"]} == {artifact.digest}
    assert index["manifests"][0]["size"] == len(blobs.get(artifact.digest))


def test_the_index_never_names_what_is_not_there(blobs: LocalBlobs) -> None:
    publish_refs(blobs, {})
    with pytest.raises(NotFound):
        publish_refs(blobs, {"schemas-1": "sha256:" + "0" * 64})
    assert json.loads((blobs.folder / "index.json").read_bytes())["manifests"] == []


def test_a_published_file_cannot_leave_the_layout(blobs: LocalBlobs) -> None:
    with pytest.raises(Invalid):
        blobs.publish("../index.json", b"{}")
