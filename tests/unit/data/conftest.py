"""Blobs in memory for every test of the room, and examples that are the same each time, however slow the machine."""

import pytest
from hypothesis import settings

from kedge.testing.blobs import MemoryBlobs

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()
