"""The ledger on SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.core.ledger import Ledger
from kedge.store.ledger.open import open_ledger
from kedge.testing.ledger import LedgerConformance


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with the newest schema, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    open_ledger(f"sqlite:///{folder}/ledger.db", lock=folder / "lock").close()
    return folder / "ledger.db"


class TestSqlite(LedgerConformance):
    @pytest.fixture
    def ledger(self, prepared: Path, tmp_path: Path) -> Iterator[Ledger]:
        shutil.copy(prepared, tmp_path / "ledger.db")
        opened = open_ledger(f"sqlite:///{tmp_path}/ledger.db", lock=tmp_path / "lock")
        yield opened
        opened.close()
