"""Rows of a SQL query: `sql:URL#QUERY`, with any URL that SQLAlchemy knows, or `sql:file:PATH#QUERY` for one kept apart."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from kedge.core.errors import Invalid, Unavailable
from kedge.data.types import SourceFile

ROWS = 2048


def bring(given: str, folder: Path) -> list[SourceFile]:
    """The result as JSON Lines, asked for anew each time. `Invalid`; `Unavailable`."""
    url, _, query = given.removeprefix("sql:").partition("#")
    if not url or not query.strip():
        raise Invalid("a SQL source needs a URL and a query", hint="sql:sqlite:///rows.db#select input, target from t")
    name = hashlib.sha256(given.encode()).hexdigest()[:16]
    path = folder / "sql" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        with temporary.open("wb") as out:
            out.writelines(_lines(_resolved(url, folder.parent.parent.parent), query))
        if not path.exists() or _digest(path) != _digest(temporary):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return [SourceFile(path=path, label=f"sql/{name}.jsonl")]


def _lines(url: str, query: str) -> Iterator[bytes]:
    try:
        engine = create_engine(url)
        with engine.connect().execution_options(stream_results=True, max_row_buffer=ROWS) as connection:
            for row in connection.execute(text(query)).mappings():
                yield msgspec.json.encode(_plain(row)) + b"\n"
        engine.dispose()
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Invalid(
            f"not the URL of a database: {error}", hint="as in postgresql+psycopg://user@host/name"
        ) from error
    except SQLAlchemyError as error:
        raise Unavailable(f"the query failed: {str(error.__cause__ or error)[:300]}") from error


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Values as JSON holds them; exact numbers as text."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, datetime | date | time):
            made[str(name)] = value.isoformat()
        elif isinstance(value, bytes):
            made[str(name)] = base64.b64encode(value).decode()
        elif value is None or isinstance(value, str | int | float | bool | dict | list):
            made[str(name)] = value
        else:
            made[str(name)] = str(value)
    return made


def _resolved(reference: str, root: Path) -> str:
    """The URL itself, or what a file says. A password in the URL would get into the record: `Invalid`."""
    if reference.startswith("file:"):
        try:
            return (root / reference.removeprefix("file:")).expanduser().read_text().strip()
        except OSError as error:
            raise Invalid(f"cannot read the database's URL: {error.strerror}", address=reference) from error
    try:
        secret = make_url(reference).password
    except ArgumentError as error:
        raise Invalid(
            f"not the URL of a database: {error}", hint="as in postgresql+psycopg://user@host/name"
        ) from error
    if secret:
        raise Invalid("a password stands in the URL", hint="write the URL into a file: sql:file:db.url#select ...")
    return reference


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
