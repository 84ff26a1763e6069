"""Files of an artifact, put into a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedge.core.artifact import ArtifactKind, Blob, Manifest
from kedge.core.errors import Broken, Invalid
from kedge.core.manifest import encode, export_files, write_artifact
from kedge.store.blobs.local import LocalBlobs

LEAVING = [
    "../escaped",
    "a/../../escaped",
    "/escaped",
    "..",
    ".",
    "",
    "a//b",
    "a/",
    "..\\escaped",
    "a\0b",
    "line\nbreak",
    "x" * 300,
    "\N{ANCHOR}" * 100,
    "half\ud800",
]


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def hostile(blobs: LocalBlobs, *titles: str) -> str:
    """An artifact as somebody else may have written it."""
    layers = tuple(
        Blob(digest=blobs.put(b"x"), size=1, media_type="application/octet-stream", title=title) for title in titles
    )
    config = Blob(digest=blobs.put(b"{}"), size=2, media_type="application/json")
    annotations = {"dev.kedge.kind": "model"}
    return blobs.put(encode(Manifest(kind=ArtifactKind.MODEL, config=config, layers=layers, annotations=annotations)))


@pytest.mark.parametrize("title", LEAVING[:-1])  # half a surrogate pair cannot even be written as JSON
def test_a_file_that_leaves_its_folder_is_refused(blobs: LocalBlobs, tmp_path: Path, title: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Broken):
        export_files(blobs, hostile(blobs, "good", title), tmp_path / "out" / "deep")
    assert sorted(tmp_path.iterdir()) == before, "nothing was written, not even the good file"


@pytest.mark.parametrize("title", LEAVING)
def test_such_an_artifact_is_not_written_either(blobs: LocalBlobs, title: str) -> None:
    with pytest.raises(Invalid):
        write_artifact(blobs, ArtifactKind.MODEL, {}, {title: b"x"})
    assert list(blobs.list()) == []


@pytest.mark.parametrize("title", ["%2e%2e/escaped", "%252e%252e%252fescaped", "a;..;b", "a?x#y"])
def test_nothing_is_decoded(blobs: LocalBlobs, tmp_path: Path, title: str) -> None:
    (written,) = export_files(blobs, hostile(blobs, title), tmp_path / "out")
    assert written == tmp_path / "out" / title


def test_names_that_differ_in_case_alone_are_refused(blobs: LocalBlobs, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="same name"):
        export_files(blobs, hostile(blobs, "config.json", "CONFIG.json"), tmp_path / "out")


def test_a_link_in_the_folder_leads_nowhere(blobs: LocalBlobs, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(Broken, match="leaves its folder"):
        export_files(blobs, hostile(blobs, "onnx/model.onnx"), tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_copy_may_be_changed_without_harm(blobs: LocalBlobs, tmp_path: Path) -> None:
    artifact = write_artifact(blobs, ArtifactKind.MODEL, {}, {"config.json": b"{}"})
    (written,) = export_files(blobs, artifact.digest, tmp_path / "out")
    written.write_bytes(b"{'mine': true}")
    assert blobs.get(artifact.digest)
    assert export_files(blobs, artifact.digest, tmp_path / "out")[0].read_bytes() == b"{}"


def test_a_linked_file_takes_no_space_and_is_never_written_through(blobs: LocalBlobs, tmp_path: Path) -> None:
    first = write_artifact(blobs, ArtifactKind.MODEL, {}, {"config.json": b"{}"})
    second = write_artifact(blobs, ArtifactKind.MODEL, {}, {"config.json": b"[]"})
    (linked,) = export_files(blobs, first.digest, tmp_path / "out", link=True)
    assert linked.samefile(blobs.fetch(blobs.put(b"{}")))
    export_files(blobs, second.digest, tmp_path / "out")
    assert linked.read_bytes() == b"[]"
    assert blobs.get(blobs.put(b"{}")) == b"{}"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json"]
