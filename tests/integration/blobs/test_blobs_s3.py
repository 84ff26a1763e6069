"""Blobs on a real S3-compatible server, and what is said when one is not there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Broken, Conflict, Invalid, Unavailable
from kedge.core.hashing import digest
from kedge.core.manifest import write_artifact
from kedge.core.ports import BlobStore
from kedge.store.blobs import objects
from kedge.store.blobs.atomic import read_chunks
from kedge.store.blobs.cache import ReadCache
from kedge.store.blobs.index import publish_refs
from kedge.store.blobs.objects import ObjectBlobs
from kedge.store.blobs.open import open_blobs
from kedge.testing.blobs import BlobStoreSuite
from kedge.testing.s3 import TemporaryS3


def opened(url: str, cache: Path) -> ObjectBlobs:
    blobs = open_blobs(url, cache=cache)
    assert isinstance(blobs, ObjectBlobs)
    return blobs


def object_of(name: str) -> str:
    return f"blobs/sha256/{name.removeprefix('sha256:')}"


class TestS3Blobs(BlobStoreSuite):
    @pytest.fixture
    def blobs(self, s3_url: str, tmp_path: Path) -> BlobStore:
        return opened(s3_url, tmp_path / "cache")

    def damage(self, blobs: BlobStore, digest: str, data: bytes) -> None:
        assert isinstance(blobs, ObjectBlobs)
        blobs.publish(object_of(digest), data)


def test_what_one_machine_puts_another_gets(s3_url: str, tmp_path: Path) -> None:
    name = opened(s3_url, tmp_path / "one").put(b"haul")
    other = opened(s3_url, tmp_path / "other")
    assert other.get(name) == b"haul"
    assert [info.digest for info in other.list()] == [name]


def test_a_second_read_comes_from_the_cache(s3_url: str, tmp_path: Path) -> None:
    blobs = opened(s3_url, tmp_path / "cache")
    name = blobs.put(b"haul")
    blobs.get(name)
    blobs.publish(object_of(name), b"changed behind our back")
    assert blobs.get(name) == b"haul"


def test_a_damaged_copy_is_fetched_again(s3_url: str, tmp_path: Path) -> None:
    blobs = opened(s3_url, tmp_path / "cache")
    copy = blobs.fetch(blobs.put(b"haul"))
    copy.write_bytes(b"HAUL")
    assert blobs.get(digest(b"haul")) == b"haul"
    copy.write_bytes(b"HAUL")
    assert opened(s3_url, tmp_path / "cache").fetch(digest(b"haul")).read_bytes() == b"haul"


def test_a_file_that_changes_while_it_is_sent_is_never_seen(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(20 << 20))
    blobs = opened(s3_url, tmp_path / "cache")
    reads = iter([path, tmp_path / "changed"])
    (tmp_path / "changed").write_bytes(os.urandom(20 << 20))

    def changing(_: Path) -> Iterator[memoryview]:
        return read_chunks(next(reads))

    monkeypatch.setattr(objects, "read_chunks", changing)
    with pytest.raises(Conflict, match="changed while it was stored"):
        blobs.put_file(path)
    assert list(blobs.list()) == []


def test_a_blob_put_again_long_after_is_new(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = opened(s3_url, tmp_path / "cache")
    name = blobs.put(b"haul")
    stamped = next(iter(blobs.list())).modified
    monkeypatch.setattr(objects, "FRESH", -1.0)
    while time.time() < stamped + 1.1:  # the server counts in seconds
        time.sleep(0.05)
    blobs.put(b"haul")
    assert next(iter(blobs.list())).modified > stamped
    assert not blobs.delete(name, before=stamped + 0.5)


def test_the_index_is_published_beside_the_blobs(s3_url: str, tmp_path: Path) -> None:
    blobs = opened(s3_url, tmp_path / "cache")
    artifact = write_artifact(blobs, ArtifactKind.MODEL, {}, {"model.safetensors": b"weights"})
    publish_refs(blobs, {"schemas-1": artifact.digest})
    found = obstore.get(blobs._store, "index.json").bytes()
    assert json.loads(bytes(found))["manifests"][0]["digest"] == artifact.digest


def test_a_missing_bucket_is_named(s3_server: TemporaryS3, s3_credentials: None, tmp_path: Path) -> None:
    blobs = opened(f"s3://nowhere/x?endpoint={s3_server.address}&region=us-east-1", tmp_path)
    for verb in (lambda: blobs.put(b"haul"), lambda: blobs.get(digest(b"haul")), lambda: list(blobs.list())):
        with pytest.raises(Unavailable, match="no bucket nowhere"):
            verb()


def test_missing_credentials_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(objects, "RETRY_FOR", timedelta(seconds=0))
    with pytest.raises(Unavailable, match="AWS_ACCESS_KEY_ID"):
        opened("s3://models/x", tmp_path).put(b"haul")
    with pytest.raises(Unavailable, match="AZURE_STORAGE_ACCOUNT_NAME"):
        opened("az://models/x", tmp_path)


def test_a_server_that_is_not_there_is_named(
    s3_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "RETRY_FOR", timedelta(seconds=0))
    with pytest.raises(Unavailable, match=r"s3://models/x does not answer"):
        opened("s3://models/x?endpoint=http://127.0.0.1:1&region=us-east-1", tmp_path).put(b"haul")


def test_an_unknown_setting_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="did you mean 'endpoint'"):
        open_blobs("s3://models?endpont=http://127.0.0.1:9000", cache=tmp_path)
    with pytest.raises(Invalid, match="no bucket"):
        open_blobs("s3:///models", cache=tmp_path)


def test_the_cache_stays_within_its_size(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path, limit=3000)
    contents = [bytes([n]) * 1000 for n in range(5)]
    for age, content in zip(range(5, 0, -1), contents, strict=True):
        copy = cache.keep(digest(content), [content])
        os.utime(copy, times=(0, time.time() - age * 3600))
    assert [cache.find(digest(content)) is not None for content in contents] == [False, False, True, True, True]


def test_the_cache_keeps_what_is_in_use(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path, limit=1000)
    for content in (b"a" * 1000, b"b" * 1000):
        cache.keep(digest(content), [content])
    assert cache.find(digest(b"a" * 1000)) is not None


def test_the_cache_takes_no_damaged_bytes(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path)
    with pytest.raises(Broken):
        cache.keep(digest(b"haul"), [b"hau"])
    assert cache.find(digest(b"haul")) is None
