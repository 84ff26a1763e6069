"""Blobs kept in memory, and what every blob store must do."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.hashing import digest as digest_bytes
from kedge.core.hashing import parse_digest
from kedge.core.manifest import export_files, read_config, read_manifest, write_artifact
from kedge.core.ports import BlobInfo, BlobStore


@dataclass(slots=True)
class _Kept:
    data: bytes
    modified: float


class MemoryBlobs:
    """A BlobStore in memory; `fetch` writes into a temporary folder that goes with the object.

    `time` gives the seconds that blobs are stamped with; `files` holds what was published beside them.
    """

    def __init__(self, time: Callable[[], float] = time.time) -> None:
        self.files: dict[str, bytes] = {}
        self._kept: dict[str, _Kept] = {}
        self._time = time
        self._folder: Path | None = None

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        name = digest_bytes(data)
        self._kept[name] = _Kept(bytes(data), self._time())
        return name

    def put_file(self, path: Path) -> str:
        """Store a file and return its digest. `NotFound`; `Invalid` if it is not a regular file."""
        if not path.exists():
            raise NotFound(f"no such file: {path}", address=str(path))
        if not path.is_file():
            raise Invalid(f"not a regular file: {path}", address=str(path))
        return self.put(path.read_bytes())

    def get(self, digest: str) -> bytes:
        """The bytes, verified. `NotFound`; `Broken`."""
        if parse_digest(digest) not in self._kept:
            raise NotFound(f"no blob {digest}", address=digest)
        data = self._kept[digest].data
        if digest_bytes(data) != digest:
            raise Broken(f"the blob is damaged: {digest}", address=digest)
        return data

    def fetch(self, digest: str) -> Path:
        """A file with the bytes. `NotFound`; `Broken`."""
        data = self.get(digest)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kedge-blobs-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / digest.removeprefix("sha256:")
        written = self._folder / secrets.token_hex(16)
        written.write_bytes(data)
        return written.replace(path)

    def delete(self, digest: str, *, before: float | None = None) -> bool:
        """Remove, with `before` only what was last put earlier; whether it was removed."""
        kept = self._kept.get(parse_digest(digest))
        if kept is None or (before is not None and kept.modified >= before):
            return False
        del self._kept[digest]
        return True

    def list(self) -> Iterator[BlobInfo]:
        """Every blob."""
        for name, kept in list(self._kept.items()):
            yield BlobInfo(digest=name, size=len(kept.data), modified=kept.modified)

    def publish(self, name: str, data: bytes) -> None:
        """Keep a file that stands beside the blobs, such as `index.json`."""
        self.files[name] = data

    def damage(self, digest: str, data: bytes) -> None:
        """Replace the stored bytes with others, as a failing disk would."""
        self._kept[digest].data = data


class BlobStoreSuite:
    """What every blob store must do. Subclass it in a test module and give it the fixture `blobs`: an empty store.

    Override `damage` too, so that the store is seen to notice bytes that changed behind its back.
    """

    @pytest.fixture
    def blobs(self) -> BlobStore:
        """An empty store."""
        raise NotImplementedError

    def damage(self, blobs: BlobStore, digest: str, data: bytes) -> None:
        """Replace the stored bytes of a blob with others, as a failing disk would."""
        pytest.skip("this store's bytes cannot be changed from outside")

    def test_what_is_put_can_be_got_by_its_digest(self, blobs: BlobStore) -> None:
        """put, get."""
        assert blobs.put(b"haul") == digest_bytes(b"haul")
        assert blobs.get(digest_bytes(b"haul")) == b"haul"

    def test_an_empty_blob_is_a_blob(self, blobs: BlobStore, tmp_path: Path) -> None:
        """No bytes have a digest too."""
        (tmp_path / "empty").touch()
        assert blobs.put(b"") == blobs.put_file(tmp_path / "empty")
        assert blobs.get(digest_bytes(b"")) == b""

    def test_putting_twice_keeps_one(self, blobs: BlobStore) -> None:
        """Content-addressed: the second is the first."""
        assert blobs.put(b"haul") == blobs.put(b"haul")
        assert [(info.digest, info.size) for info in blobs.list()] == [(digest_bytes(b"haul"), 4)]

    def test_a_large_file_is_stored_as_its_bytes_would_be(self, blobs: BlobStore, tmp_path: Path) -> None:
        """Large enough to be sent in parts, and no multiple of their size."""
        content = os.urandom(1 << 20) * 33 + b"end"
        (tmp_path / "large").write_bytes(content)
        digest = blobs.put_file(tmp_path / "large")
        assert digest == digest_bytes(content)
        assert blobs.get(digest) == content
        assert blobs.fetch(digest).read_bytes() == content

    def test_only_regular_files_are_stored(self, blobs: BlobStore, tmp_path: Path) -> None:
        """A pipe would hang, a folder has no bytes, a missing file is not found."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(Invalid):
            blobs.put_file(tmp_path / "pipe")
        with pytest.raises(Invalid):
            blobs.put_file(tmp_path)
        with pytest.raises(NotFound):
            blobs.put_file(tmp_path / "none")
        assert list(blobs.list()) == []

    def test_an_unknown_blob_is_not_found(self, blobs: BlobStore) -> None:
        """get and fetch say so."""
        with pytest.raises(NotFound):
            blobs.get(digest_bytes(b"none"))
        with pytest.raises(NotFound):
            blobs.fetch(digest_bytes(b"none"))

    @pytest.mark.parametrize(
        "name",
        ["", "haul", "sha256:", "sha256:../../x", "../x", "/etc/passwd", "sha256:%2e%2e/x", "SHA256:" + "a" * 64],
    )
    def test_what_is_no_digest_is_refused(self, blobs: BlobStore, name: str) -> None:
        """No name can leave the store."""
        for verb in (blobs.get, blobs.fetch, blobs.delete):
            with pytest.raises(Invalid):
                verb(name)

    @pytest.mark.parametrize("damaged", [b"hau", b"haul ahead", b"HAUL", b""])
    def test_damaged_bytes_are_noticed(self, blobs: BlobStore, damaged: bytes) -> None:
        """Cut short, longer, changed or gone: never handed out."""
        digest = blobs.put(b"haul")
        self.damage(blobs, digest, damaged)
        with pytest.raises(Broken):
            blobs.get(digest)
        with pytest.raises(Broken):
            blobs.fetch(digest)

    def test_a_blob_cut_short_is_healed_by_putting_it_again(self, blobs: BlobStore) -> None:
        """The size tells."""
        digest = blobs.put(b"haul")
        self.damage(blobs, digest, b"hau")
        blobs.put(b"haul")
        assert blobs.get(digest) == b"haul"

    def test_a_deleted_blob_is_gone(self, blobs: BlobStore) -> None:
        """And deleting it again is no error."""
        digest = blobs.put(b"haul")
        blobs.fetch(digest)
        assert blobs.delete(digest)
        assert not blobs.delete(digest)
        assert list(blobs.list()) == []
        with pytest.raises(NotFound):
            blobs.get(digest)
        with pytest.raises(NotFound):
            blobs.fetch(digest)

    def test_a_blob_newer_than_asked_is_kept(self, blobs: BlobStore) -> None:
        """What was put since is wanted by somebody."""
        digest = blobs.put(b"haul")
        modified = next(iter(blobs.list())).modified
        assert not blobs.delete(digest, before=modified - 1)
        assert blobs.get(digest) == b"haul"
        assert blobs.delete(digest, before=modified + 1)

    def test_many_may_put_at_once(self, blobs: BlobStore) -> None:
        """The same and different blobs, from several threads."""
        contents = [bytes([n % 4]) * 1000 for n in range(32)]
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(blobs.put, contents))
        assert digests == [digest_bytes(content) for content in contents]
        assert {info.digest for info in blobs.list()} == set(digests)
        assert all(blobs.get(digest) == content for digest, content in zip(digests, contents, strict=True))

    def test_an_artifact_comes_back_as_it_was_written(self, blobs: BlobStore, tmp_path: Path) -> None:
        """Manifest, config and files."""
        files = {"model.safetensors": b"weights", "onnx/model.onnx": b"graph"}
        artifact = write_artifact(blobs, ArtifactKind.MODEL, {"hidden": 64}, files)
        assert read_config(blobs, artifact.digest) == {"hidden": 64}
        assert artifact.size == sum(info.size for info in blobs.list())
        assert [layer.title for layer in read_manifest(blobs, artifact.digest).layers] == sorted(files)
        export_files(blobs, artifact.digest, tmp_path / "out")
        assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == files
