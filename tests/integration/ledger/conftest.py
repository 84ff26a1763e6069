"""A PostgreSQL server for the session, and a database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.store.ledger.open import open_ledger
from kedge.testing.postgres import TemporaryPostgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[TemporaryPostgres]:
    server = TemporaryPostgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def prepared(postgres: TemporaryPostgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the newest schema, to be emptied for each test."""
    url = postgres.database()
    open_ledger(url, lock=tmp_path_factory.mktemp("lock") / "lock").close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where no ledger has been yet, on each kind of database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/fresh.db"
        return
    server: TemporaryPostgres = request.getfixturevalue("postgres")
    url = server.database()
    yield url
    server.drop(url)
