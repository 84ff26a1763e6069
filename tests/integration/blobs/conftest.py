"""An S3 server for the tests of object stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kedge.testing.s3 import CREDENTIALS, TemporaryS3


@pytest.fixture(scope="session")
def s3_server() -> Iterator[TemporaryS3]:
    """A server of our own."""
    server = TemporaryS3()
    yield server
    server.close()


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server takes for a login."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_url(s3_server: TemporaryS3, s3_credentials: None) -> str:
    """A fresh bucket, as a URL that `open_blobs` takes."""
    return s3_server.bucket()
