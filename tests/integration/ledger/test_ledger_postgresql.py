"""The ledger on a real PostgreSQL server."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from kedge.core.errors import Invalid, Unavailable
from kedge.core.ledger import Ledger, RunQuery
from kedge.store.ledger import connection as connection_module
from kedge.store.ledger.connection import connect
from kedge.store.ledger.open import open_ledger
from kedge.store.ledger.tables import metadata
from kedge.testing.ledger import LedgerConformance
from kedge.testing.ledger.audit import append
from kedge.testing.ledger.make import make_run
from kedge.testing.postgres import TemporaryPostgres


class TestPostgresql(LedgerConformance):
    @pytest.fixture
    def ledger(self, postgres: TemporaryPostgres, prepared: str, tmp_path: Path) -> Iterator[Ledger]:
        opened = open_ledger(prepared, lock=tmp_path / "lock")
        yield opened
        opened.close()
        postgres.empty(prepared)


def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ada:hunter2@127.0.0.1:1/ledger"
    with pytest.raises(Unavailable) as caught:
        open_ledger(url, lock=tmp_path / "lock")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "ada:***@127.0.0.1" in caught.value.hint


def test_a_server_that_was_restarted_is_reached_again(
    postgres: TemporaryPostgres, prepared: str, tmp_path: Path
) -> None:
    ledger = open_ledger(prepared, lock=tmp_path / "lock")
    assert ledger.artifacts.all() == []
    postgres.disconnect(prepared)
    assert ledger.artifacts.all() == []
    ledger.close()


def test_the_migrations_lead_to_the_tables_of_the_code(prepared: str) -> None:
    database = connect(prepared)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_a_value_that_postgresql_cannot_keep_is_invalid(prepared: str, tmp_path: Path) -> None:
    ledger = open_ledger(prepared, lock=tmp_path / "lock")
    with pytest.raises(Invalid):
        ledger.runs.start(make_run(stage="nul\0"))
    assert ledger.runs.search(RunQuery()) == []
    ledger.close()


def test_a_writer_waits_for_another_and_says_so_when_it_waited_too_long(
    prepared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "PATIENCE_S", 1)
    ledger = open_ledger(prepared, lock=tmp_path / "lock")
    other = open_ledger(prepared, lock=tmp_path / "lock")
    with other.begin():
        with pytest.raises(Unavailable, match="busy"):
            append(ledger)
        assert ledger.audit.records() == []
    other.close()
    ledger.close()
