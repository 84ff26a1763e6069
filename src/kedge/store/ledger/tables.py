"""The tables of the ledger. `migrations/` holds how each released schema became the next; a test holds the two equal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from kedge.core.errors import Invalid
from kedge.core.hashing import canonical

REVISION: Final = "0004"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Word = Text().with_variant(Text(collation="C"), "postgresql")  # the same order of text in both databases
Count = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's row number


def in_utc(at: datetime) -> datetime:
    """The same time in UTC. A time without a zone is refused with `Invalid`."""
    if at.tzinfo is None:
        raise Invalid(f"a time without a zone: {at.isoformat()}", hint="use datetime.now(UTC)")
    return at.astimezone(UTC)


class Instant(TypeDecorator[datetime]):
    """A time in UTC, kept as microseconds since the epoch: exact, ordered and alike in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """A time on its way into the database."""
        return None if value is None else (in_utc(value) - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """A time on its way out."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """A JSON value, kept as canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """A value on its way into the database."""
        return canonical(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """A value on its way out."""
        return json.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def begins(column: Column[str], text: str) -> ColumnElement[bool]:
    """Whether a word begins with a text, letter by letter and by index, which LIKE is not everywhere."""
    return (column >= text) & (column < text + "\U0010ffff")


def row_of(table: Table, value: object) -> dict[str, Any]:
    """The row of a table whose columns are named like the fields of a value."""
    return {column.name: getattr(value, column.name) for column in table.c if hasattr(value, column.name)}


runs = Table(
    "runs",
    metadata,
    Column("id", Word, primary_key=True),
    Column("stage", Word, nullable=False),
    Column("step", Word, nullable=False),
    Column("args", Json, nullable=False),
    Column("key", Word, nullable=False),
    Column("status", Word, nullable=False),
    Column("started", Instant, nullable=False),
    Column("ended", Instant),
    Column("code", Word, nullable=False),
    Column("environment", Json, nullable=False),
    Column("pipeline", Word, nullable=False),
    Column("host", Word),
    Column("pid", BigInteger),
    Column("process_started", Double),
    Column("error", Text, nullable=False),
    Index(None, "key", "status", "ended"),
    Index(None, "started", "id"),
    Index(None, "stage", "started"),
    Index(None, "status", "started"),
    Index(None, "pipeline"),
)

run_params = Table(
    "run_params",
    metadata,
    Column("run", Word, ForeignKey(runs.c.id), primary_key=True),
    Column("name", Word, primary_key=True),
    Column("number", Double),
    Column("text", Word, nullable=False),
    Index(None, "name", "number", "run"),
    sqlite_with_rowid=False,
)

run_artifacts = Table(
    "run_artifacts",
    metadata,
    Column("run", Word, ForeignKey(runs.c.id), primary_key=True),
    Column("side", Word, primary_key=True),
    Column("port", Word, primary_key=True),
    Column("artifact", Word, nullable=False),
    Index(None, "artifact", "side"),
    sqlite_with_rowid=False,
)

series = Table(  # one metric of one run, with its last value
    "series",
    metadata,
    Column("id", Count, primary_key=True),
    Column("run", Word, ForeignKey(runs.c.id), nullable=False),
    Column("name", Word, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("value", Double),
    Column("at", Double, nullable=False),
    UniqueConstraint("run", "name"),
    Index(None, "name", "value", "run"),
)

points = Table(  # a value that is not a number is NULL: SQLite cannot keep NaN
    "points",
    metadata,
    Column("id", Count, primary_key=True),
    Column("series", BigInteger, ForeignKey(series.c.id), nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("value", Double),
    Column("at", Double, nullable=False),
    Index(None, "series", "step"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("kind", Word, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("added", Instant, nullable=False),
    Index(None, "added"),
)

holds = Table(
    "holds",
    metadata,
    Column("digest", Word, ForeignKey(artifacts.c.digest), primary_key=True),
    Column("reason", Text, nullable=False),
)

models = Table(  # `last` is the highest version number ever given
    "models",
    metadata,
    Column("name", Word, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("name", Word, ForeignKey(models.c.name), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("bundle", Word, ForeignKey(artifacts.c.digest), nullable=False),
    Column("model", Word, ForeignKey(artifacts.c.digest), nullable=False),
    Column("card", Word, ForeignKey(artifacts.c.digest)),
    Column("run", Word, nullable=False),
    Column("registered", Instant, nullable=False),
    Column("by", Word, nullable=False),
    UniqueConstraint("name", "bundle"),
    Index(None, "bundle"),
    Index(None, "model"),
    Index(None, "card"),
)

alias_moves = Table(
    "alias_moves",
    metadata,
    Column("id", Count, primary_key=True),
    Column("model", Word, nullable=False),
    Column("alias", Word, nullable=False),
    Column("before", BigInteger),
    Column("after", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Word, nullable=False),
    Column("reason", Text, nullable=False),
    Column("verdict", Word, nullable=False),
    Column("override", Boolean(create_constraint=False), nullable=False),
    Column("rollback", Boolean(create_constraint=False), nullable=False),
    Index(None, "model", "alias", "id"),
)

aliases = Table(  # where each alias is now
    "aliases",
    metadata,
    Column("model", Word, primary_key=True),
    Column("alias", Word, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("move", BigInteger, ForeignKey(alias_moves.c.id), nullable=False),
    ForeignKeyConstraint(["model", "version"], [model_versions.c.name, model_versions.c.version]),
    Index(None, "model", "version"),
)

gates = Table(
    "gates",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("body", Json, nullable=False),
    Column("at", Instant, nullable=False),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Word, primary_key=True),
    Column("gate", Word, nullable=False),
    Column("bundle", Word, nullable=False),
    Column("evaluation", Word, nullable=False),
    Column("dataset", Word, nullable=False),
    Column("outcome", Word, nullable=False),
    Column("run", Word, nullable=False),
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Index(None, "bundle", "at"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", Word, primary_key=True),
    Column("model", Word, nullable=False),
    Column("alias", Word, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("id", Count, primary_key=True),
    Column("endpoint", Word, ForeignKey(endpoints.c.name), nullable=False),
    Column("model", Word, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("bundle", Word, nullable=False),
    Column("role", Word, nullable=False),
    Column("share", Double, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Word, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "endpoint", "role", "id"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("endpoint", Word, primary_key=True),
    Column("host", Word, primary_key=True),
    Column("pid", BigInteger, primary_key=True),
    Column("url", Text, nullable=False),
    Column("bundle", Word, nullable=False),
    Column("healthy", Boolean(create_constraint=False), nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", Text, nullable=False),
)

rollouts = Table(  # `active` is the endpoint while the rollout is under way: at most one of each
    "rollouts",
    metadata,
    Column("id", Word, primary_key=True),
    Column("endpoint", Word, ForeignKey(endpoints.c.name), nullable=False),
    Column("active", Word, unique=True),
    Column("model", Word, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("started", Instant, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "endpoint", "started"),
)

rollout_events = Table(
    "rollout_events",
    metadata,
    Column("id", Count, primary_key=True),
    Column("rollout", Word, ForeignKey(rollouts.c.id), nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Word, nullable=False),
    Column("action", Word, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("readings", Text, nullable=False),
    Index(None, "rollout", "id"),
)

leases = Table(  # which process does what only one may do, and until when
    "leases",
    metadata,
    Column("name", Word, primary_key=True),
    Column("holder", Word, nullable=False),
    Column("until", Instant, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Word, primary_key=True),
    Column("name", Word, nullable=False),
    Column("hash", Word, nullable=False, unique=True),
    Column("scopes", Json, nullable=False),
    Column("created", Instant, nullable=False),
    Column("by", Word, nullable=False),
    Column("expires", Instant),
    Column("revoked", Instant),
    Column("terms", Json, nullable=False, server_default="{}"),
    Column("account", Word, nullable=False, server_default=""),
)

usage = Table(
    "usage",
    metadata,
    Column("account", Word, primary_key=True),
    Column("window", Word, primary_key=True),
    Column("units", BigInteger, nullable=False),
)

places = Table(
    "places",
    metadata,
    Column("account", Word, primary_key=True),
    Column("holder", Word, primary_key=True),
    Column("places", BigInteger, nullable=False),
    Column("until", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("by", Word, nullable=False),
    Column("action", Word, nullable=False),
    Column("subject", Word, nullable=False),
    Column("detail", Json, nullable=False),
    Column("before", Word, nullable=False),
    Column("hash", Word, nullable=False),
)

review_cases = Table(
    "review_cases",
    metadata,
    Column("id", Word, primary_key=True),
    Column("queue", Word, nullable=False),
    Column("row", Word, nullable=False),
    Column("input", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("answerer", Word, nullable=False),
    Column("why", Word, nullable=False),
    Column("evaluation", Word, nullable=False),
    Column("bundle", Word, nullable=False),
    Column("scores", Json, nullable=False),
    Column("added", Instant, nullable=False),
    Column("by", Word, nullable=False),
    Index(None, "queue", "added"),
)

review_labels = Table(
    "review_labels",
    metadata,
    Column("id", Count, primary_key=True),
    Column("case", Word, ForeignKey(review_cases.c.id), nullable=False),
    Column("reviewer", Word, nullable=False),
    Column("label", Word, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "case", "reviewer", "id"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("model", Word, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("by", Word, primary_key=True),
    Column("bundle", Word, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
