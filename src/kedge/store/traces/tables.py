"""The tables of the trace store, and how a fresh or an older one is brought up to date."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from kedge.core.errors import Unavailable

VERSION = 3
_SINCE = {2: ("tenant", "role", "cache", "parent", "detail")}  # what each version has added to the traces
_LOCK = 0x6B65646774  # any number that the ledger does not use for its own advisory lock

metadata = sa.MetaData()

schema = sa.Table("traces_schema", metadata, sa.Column("version", sa.Integer, nullable=False))

traces = sa.Table(
    "traces",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("bundle", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("latency_ms", sa.Double, nullable=False),
    sa.Column("first_token_ms", sa.Double, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False, server_default=""),
    sa.Column("role", sa.Text, nullable=False, server_default="stable"),
    sa.Column("cache", sa.Text, nullable=False, server_default=""),
    sa.Column("parent", sa.Text, nullable=False, server_default=""),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Index("traces_id", "id", unique=True),
    sa.Index("traces_at", "at"),
    sa.Index("traces_endpoint", "endpoint", "at"),
    sa.Index("traces_bundle", "bundle", "at", "endpoint"),
)


feedback = sa.Table(  # since version 3
    "feedback",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("trace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("bundle", sa.Text, nullable=False),
    sa.Index("feedback_trace", "trace"),
    sa.Index("feedback_at", "at"),
)


def connect(url: str) -> sa.Engine:
    """An engine on the trace store at `url`, made or brought up to date if need be. `Unavailable`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    with reaching(engine), _alone(engine), engine.begin() as connection:
        _upgrade(connection)
    return engine


@contextmanager
def reaching(engine: sa.Engine) -> Iterator[None]:
    """Turn a database that does not answer into `Unavailable`."""
    try:
        yield
    except DBAPIError as error:
        address = engine.url.render_as_string(hide_password=True)
        raise Unavailable(
            f"the trace store does not answer: {error.orig}", address=address, hint="see store.traces in kedge.toml"
        ) from error


def _prepare_sqlite(connection: object, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the driver's connection, which SQLAlchemy does not type
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only while the file is empty
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")  # traces may be lost with the power; the file stays whole
    cursor.execute("PRAGMA cache_size = -8192")
    cursor.close()


@contextmanager
def _flock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """One process at a time makes the tables: turning on SQLite's log cannot be done by two at once."""
    database = engine.url.database
    with _flock(Path(f"{database}.lock")) if engine.dialect.name == "sqlite" and database else nullcontext():
        yield


def in_order(connection: sa.Connection) -> None:
    """Until the transaction ends no other one adds to the store: whoever reads on from a number misses nothing.

    SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _upgrade(connection: sa.Connection) -> None:
    in_order(connection)
    if not sa.inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))
    found = connection.execute(sa.select(schema.c.version)).scalar_one()
    if found > VERSION:
        raise Unavailable(
            f"the trace store has schema {found}, and this kedge knows up to {VERSION}",
            hint="a newer kedge wrote it: upgrade this one",
        )
    for version in range(found + 1, VERSION + 1):
        for column in _SINCE.get(version, ()):
            added = sa.schema.CreateColumn(traces.c[column]).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE traces ADD COLUMN {added}")
    if found < VERSION:
        metadata.create_all(connection)
        connection.execute(schema.update().values(version=VERSION))
