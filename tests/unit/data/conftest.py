"""Blobs in memory for every test of the room."""

import pytest

from kedge.testing.blobs import MemoryBlobs


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()
