"""Connections to the ledger's database: transactions, durability, and driver errors turned into kedge's own."""

from __future__ import annotations

import importlib
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, Engine, Pool, Table, create_engine, event, exc, make_url

from kedge.core.errors import Broken, Conflict, Invalid, KedgeError, Missing, Refused, Unavailable

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

MANY: Final = 512  # rows in one statement; SQLite takes 32,766 values
PATIENCE_S: Final = 60  # how long a writer waits for the others
_LOCK: Final = 0x6B65646765  # the advisory lock all exclusive writers of one PostgreSQL database share
_WRITES: Final = "kedge_writes"

_inherited: list[Pool] = []  # pools of the parent process: never closed here, their connections are the parent's


@dataclass(frozen=True, slots=True)
class Insertion:
    """An insert of rows of `width` values: what stands before and after them."""

    into: str
    width: int
    otherwise: str = ""

    def statement(self, mark: str, rows: int = 1) -> str:
        """The statement for so many rows, with `mark` for each value."""
        row = f"({', '.join([mark] * self.width)})"
        return " ".join(("INSERT INTO", self.into, "VALUES", ", ".join([row] * rows), self.otherwise))


class Database:
    """One database and the transaction each thread has open on it. `place` names it in errors, without its password."""

    def __init__(self, engine: Engine, place: str) -> None:
        self.place = place
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        self._thread = threading.local()
        _survive_fork(self)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file of SQLite and not a PostgreSQL server."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with: the thread's open transaction if it has one."""
        with self._translated():
            current = self._current
            if current is not None:
                yield current
            else:
                with self._engine.begin() as connection:
                    yield connection

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Connection]:
        """A transaction, or a savepoint of the one the thread has open.

        `alone`: what is checked in it stays true until it is committed, as no other such transaction runs meanwhile.
        On SQLite every write is alone.
        """
        with self._translated():
            current = self._current
            if current is not None:
                with current.begin_nested():
                    yield current
            else:
                with self._writer.begin() as connection:
                    if alone:
                        self._lock(connection)
                    yield connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All reads and writes of this thread inside are one transaction, alone among its kind.

        Inside another one it is a part of it, which is undone by itself when it raises.
        """
        with self.write(alone=True) as connection:
            outer = self._current
            self._thread.connection = connection
            try:
                yield
            finally:
                self._thread.connection = outer

    def insert_many(self, connection: Connection, insert: Insertion, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows as fast as the driver can."""
        if not self.is_sqlite:
            connection.exec_driver_sql(insert.statement("%s"), list(rows))
            return
        # Many rows a statement: the driver lets go of the interpreter at every step of SQLite, and beside a busy thread
        # each return costs 5 ms. Powers of two keep the statements few, so that the driver keeps them compiled.
        start, size = 0, MANY
        while start < len(rows):
            while size > len(rows) - start:
                size //= 2
            values = tuple(chain.from_iterable(rows[start : start + size]))
            connection.exec_driver_sql(insert.statement("?", size), values)
            start += size

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone and open new ones."""
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._thread = threading.local()

    @property
    def _current(self) -> Connection | None:
        return getattr(self._thread, "connection", None)

    def _lock(self, connection: Connection) -> None:
        if not self.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise translate(error, self.place) from error


def insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its key is there; whether it was new."""
    insert = _insert(connection, table).values(row).on_conflict_do_nothing()
    return connection.execute(insert, execution_options={"preserve_rowcount": True}).rowcount > 0


def put(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row, or overwrite the one that has its primary key."""
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in row.items() if name not in keys}
    connection.execute(_insert(connection, table).values(row).on_conflict_do_update(index_elements=keys, set_=rest))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    dialect = importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}")  # the other one is not loaded
    insert: sqlite.Insert | postgresql.Insert = dialect.insert(table)
    return insert


def connect(url: str, *, enforce: bool = True) -> Database:
    """A database by URL; nothing is opened yet. `enforce` keeps foreign keys. `Invalid`; `Missing`."""
    if url.startswith("sqlite:"):
        return _connect_sqlite(sqlite_path(url), enforce)
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise Invalid("not a ledger URL", hint=_HINT) from None  # the driver's message could show a password
    if parsed.get_backend_name() != "postgresql":
        raise Invalid(f"no ledger on {parsed.get_backend_name()!r}", hint=_HINT)
    return _connect_postgresql(parsed)


_HINT: Final = "write sqlite:////absolute/path.db or postgresql+psycopg://user@host/database"


def sqlite_path(url: str) -> Path:
    """The file that a `sqlite:///` URL names. `Invalid`."""
    path = url.removeprefix("sqlite:///")
    if path == url or path in ("", ":memory:"):
        raise Invalid("a ledger on SQLite needs a file", hint=_HINT)
    return Path(path)


def _connect_sqlite(path: Path, enforce: bool) -> Database:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": PATIENCE_S},
        max_overflow=-1,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        for pragma in ("synchronous=FULL", f"foreign_keys={'ON' if enforce else 'OFF'}", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return Database(engine, str(path))


def _connect_postgresql(url: URL) -> Database:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(
            url,
            connect_args={"options": f"-c lock_timeout={PATIENCE_S}s -c timezone=UTC", "connect_timeout": 10},
            pool_pre_ping=True,
            max_overflow=-1,
            hide_parameters=True,
        )
    except ImportError as error:
        raise Missing.extra("psycopg", "postgres") from error
    return Database(engine, url.render_as_string(hide_password=True))


def _survive_fork(database: Database) -> None:
    reference = weakref.ref(database)

    def forget() -> None:
        alive = reference()
        if alive is not None:
            alive.forget()

    os.register_at_fork(after_in_child=forget)


def translate(error: exc.SQLAlchemyError, place: str) -> KedgeError:
    """kedge's error for one of the driver's."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, KedgeError):  # raised while a value was made ready for the database
        return cause
    said = " ".join(str(cause or error).split())
    if isinstance(error, exc.IntegrityError):
        return Conflict(f"the ledger does not allow this: {said}", address=place, hint="look at what is there now")
    if isinstance(error, exc.DataError):
        return Invalid(f"the ledger cannot keep this value: {said}", address=place)
    if "readonly" in said or "read-only" in said:
        return Refused(f"the ledger is read-only: {place}", address=place, hint="check who may write there")
    if "not a database" in said or "malformed" in said:
        return Broken(f"the ledger is damaged: {said}", address=place, hint="restore it from a backup")
    if "locked" in said or "lock timeout" in said or "deadlock" in said:
        hint = f"another process has been writing for {PATIENCE_S} s or more; end it, or try again"
        return Unavailable(f"the ledger is busy: {said}", address=place, hint=hint)
    if isinstance(error, exc.DBAPIError | exc.TimeoutError):
        return Unavailable(
            f"the ledger cannot be used: {said}", address=place, hint=f"check that {place} can be reached"
        )
    return Broken(f"the ledger was used wrongly: {said}", address=place, hint="please report this")
