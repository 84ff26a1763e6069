"""Opening a ledger: fresh, old, newer, damaged, or not there."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from kedge.core.errors import Broken, Invalid, Refused, Unavailable
from kedge.core.ledger import RunQuery
from kedge.store.ledger import connection as connection_module
from kedge.store.ledger.connection import connect
from kedge.store.ledger.ledger import SqlLedger
from kedge.store.ledger.migrate import configuration, migrate
from kedge.store.ledger.open import open_ledger
from kedge.store.ledger.tables import REVISION, metadata
from kedge.testing.ledger.audit import append
from kedge.testing.ledger.make import add_version, make_move, make_run

REVISIONS = [script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()]


def open_at(path: Path) -> SqlLedger:
    return open_ledger(f"sqlite:///{path}", lock=path.with_name("lock"))


def pragma(ledger: SqlLedger, name: str) -> object:
    with ledger._database.read() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_a_fresh_ledger_is_durable_and_keeps_its_references(tmp_path: Path) -> None:
    ledger = open_at(tmp_path / "ledger.db")
    settings = [pragma(ledger, name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
    assert settings == ["wal", 2, 1, 60_000]
    assert pragma(ledger, "integrity_check") == "ok"
    ledger.close()


def test_what_was_written_is_there_when_opened_again(tmp_path: Path) -> None:
    first = open_at(tmp_path / "ledger.db")
    first.runs.start(make_run())
    first.close()
    second = open_at(tmp_path / "ledger.db")
    assert second.runs.get("run-1") == make_run()
    second.close()


def test_opening_a_ledger_that_is_up_to_date_does_not_import_alembic(tmp_path: Path) -> None:
    open_at(tmp_path / "ledger.db").close()
    script = (
        "import sys; from pathlib import Path; from kedge.store.ledger.open import open_ledger;"
        f"open_ledger('sqlite:///{tmp_path}/ledger.db', lock=Path('{tmp_path}/lock')).runs.succeeded('k');"
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    open_at(tmp_path / "ledger.db").close()
    assert REVISIONS[0] == REVISION
    with connect(f"sqlite:///{tmp_path}/ledger.db").read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    without_numbers = {name for name, statement in made if "WITHOUT ROWID" in statement}
    assert without_numbers == {"run_params", "run_artifacts"}


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_schema_ever_released_can_be_upgraded(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "ledger.db"
    old = connect(f"sqlite:///{path}", enforce=False)
    with old.transaction(), old.read() as connection:
        migrate(connection, revision=revision)
    old.close()
    ledger = open_at(path)
    add_version(ledger)
    ledger.models.move(make_move(1))
    assert ledger.models.aliases() == [make_move(1)]
    ledger.close()


def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE keys (mine TEXT)")  # in the way of a late table of the first revision
    with pytest.raises(Unavailable):
        open_at(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("keys",)]


def test_a_ledger_of_a_newer_kedge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_at(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Refused) as caught:
        open_at(path)
    assert "upgrade kedge" in caught.value.hint


def test_a_file_that_is_no_database_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database, but long enough to be looked at " * 100)
    with pytest.raises(Broken):
        open_at(path)


def test_a_place_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        open_at(tmp_path / "file" / "ledger.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://a:b@c/d", "nonsense", ""])
def test_what_names_no_ledger_is_invalid(tmp_path: Path, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        open_ledger(url, lock=tmp_path / "lock")
    assert "sqlite:///" in caught.value.hint


def test_a_bad_url_does_not_show_its_password(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        open_ledger("postgresql+psycopg://ada:hunter2@host:port/x", lock=tmp_path / "lock")
    assert "hunter2" not in repr(caught.value) + str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["with space", "what?", "50%20off", "#1", "ä", "a&b=c"])
def test_a_path_may_have_any_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / f"{name}.db"
    open_at(path).close()
    assert path.stat().st_size > 0


def test_what_a_killed_process_or_a_deleted_ledger_left_is_not_taken_for_a_ledger(tmp_path: Path) -> None:
    for name in (".ledger.db.new", ".ledger.db.new-wal", "ledger.db-wal", "ledger.db-shm"):
        (tmp_path / name).write_bytes(b"left over")
    ledger = open_at(tmp_path / "ledger.db")
    ledger.runs.start(make_run())
    assert ledger.runs.get("run-1") == make_run()
    ledger.close()
    assert not (tmp_path / ".ledger.db.new").exists()


def test_a_writer_waits_for_another_and_says_so_when_it_waited_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "PATIENCE_S", 0.1)
    ledger = open_at(tmp_path / "ledger.db")
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="busy"):
            ledger.runs.start(make_run())
        assert ledger.runs.search(RunQuery()) == []  # readers do not wait
        other.execute("COMMIT")
    ledger.runs.start(make_run())
    ledger.close()


def test_a_damaged_reference_cannot_be_written(tmp_path: Path) -> None:
    ledger = open_at(tmp_path / "ledger.db")
    add_version(ledger)
    ledger.models.move(make_move(1))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as direct:
        direct.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            direct.execute("DELETE FROM model_versions")
    ledger.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(tmp_path: Path) -> None:
    ledger = open_at(tmp_path / "ledger.db")
    append(ledger, subject="parent")
    with ledger.begin() as tx:
        append(tx, subject="before the fork")
        child = os.fork()
        if child == 0:
            os._exit(0 if [r.subject for r in ledger.audit.records()] == ["parent"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if child == 0:
        append(ledger, subject="child")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    append(ledger, subject="parent")
    subjects = [record.subject for record in ledger.audit.records()]
    assert subjects == ["parent", "before the fork", "child", "parent"]
    assert pragma(ledger, "integrity_check") == "ok"
    ledger.close()


def test_threads_may_share_a_ledger_that_is_open(tmp_path: Path) -> None:
    ledger = open_at(tmp_path / "ledger.db")
    threads = [threading.Thread(target=append, args=(ledger,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.seq for record in ledger.audit.records()] == list(range(1, 21))
    ledger.close()
