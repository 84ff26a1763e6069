"""The ledger on a real PostgreSQL server."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.core.errors import Unavailable
from kedge.core.ledger import Ledger
from kedge.store.ledger.open import open_ledger
from kedge.testing.ledger import LedgerConformance
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
