"""Blobs in this process's memory, ours and obstore's."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedge.core.ports import BlobStore
from kedge.store.blobs.objects import ObjectBlobs
from kedge.store.blobs.open import open_blobs
from kedge.testing.blobs import BlobStoreSuite, MemoryBlobs


class TestMemoryBlobs(BlobStoreSuite):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobs()

    def damage(self, blobs: BlobStore, digest: str, data: bytes) -> None:
        assert isinstance(blobs, MemoryBlobs)
        blobs.damage(digest, data)


class TestObjectsInMemory(BlobStoreSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return open_blobs("memory://", cache=tmp_path / "cache")

    def damage(self, blobs: BlobStore, digest: str, data: bytes) -> None:
        assert isinstance(blobs, ObjectBlobs)
        blobs.publish(f"blobs/sha256/{digest.removeprefix('sha256:')}", data)
