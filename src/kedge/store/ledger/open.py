"""Opens the ledger by URL, making or upgrading it first if need be. Safe when many processes do so at once."""

from __future__ import annotations

import fcntl
import importlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import inspect

from kedge.core.errors import Unavailable
from kedge.store.ledger.connection import Database, connect, sqlite_path
from kedge.store.ledger.ledger import SqlLedger
from kedge.store.ledger.tables import REVISION


def open_ledger(url: str, *, lock: Path) -> SqlLedger:
    """The ledger at `sqlite:///path` or `postgresql+psycopg://...`, at the newest schema.

    `lock` is a file that the processes of one project share; on PostgreSQL an advisory lock is used instead.
    `Invalid`; `Unavailable` if it cannot be reached; `Refused` if a newer kedge wrote it.
    """
    return SqlLedger(_open_sqlite(url, lock) if url.startswith("sqlite:") else _open_postgresql(url))


def _open_sqlite(url: str, lock: Path) -> Database:
    path = sqlite_path(url)
    try:
        if not path.exists():
            with _locked(lock):
                if not path.exists():
                    _create_sqlite(path)
        database = connect(url)
        if stored_revision(database) != REVISION:
            with _locked(lock):
                rebuilt = connect(url, enforce=False)  # a migration may rebuild a table that others refer to
                upgrade(rebuilt)
                rebuilt.close()
    except OSError as error:
        hint = "check that the folder exists and is yours to write to"
        raise Unavailable(f"the ledger cannot be opened: {error}", address=str(path), hint=hint) from error
    return database


def _create_sqlite(path: Path) -> None:
    """Made whole under another name and then renamed: nobody ever sees half a ledger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for stem in (new, path):
        for suffix in ("", "-wal", "-shm", "-journal"):  # left by a process that was killed, or of a deleted ledger
            stem.with_name(stem.name + suffix).unlink(missing_ok=True)
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # kept in the file
    database = connect(f"sqlite:///{new}")
    upgrade(database)
    database.close()
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_postgresql(url: str) -> Database:
    database = connect(url)
    if stored_revision(database) != REVISION:
        upgrade(database)
    return database


def stored_revision(database: Database) -> str:
    """The revision of the schema that is there, "" for an empty database."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")


def upgrade(database: Database) -> None:
    """Bring the schema to this code's revision in one transaction; nothing is done if another process did it first."""
    with database.transaction(), database.read() as connection:
        if stored_revision(database) != REVISION:
            importlib.import_module("kedge.store.ledger.migrate").migrate(connection)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, also when the process is killed
        yield
