"""API keys, as they are kept: hashed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from kedge.core.access import Key, Scope, Terms
from kedge.core.errors import Conflict, NotFound
from kedge.core.spec import to_plain
from kedge.store.ledger.connection import Database
from kedge.store.ledger.tables import keys, row_of


class SqlKeys:
    """Keys by id and by keyed hash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: Key) -> None:
        """Record a key. `Conflict` if its id or hash is taken."""
        row = {**row_of(keys, key), "terms": to_plain(key.terms)}
        with self._database.write() as connection:
            try:
                connection.execute(insert(keys).values(row))
            except IntegrityError as error:
                raise Conflict(f"there is a key {key.id} already", address=key.id, hint="make another") from error

    def all(self) -> list[Key]:
        """Every key, oldest first."""
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(select(keys).order_by(keys.c.created, keys.c.id))]

    def find(self, hash: str) -> Key | None:
        """The key with this keyed hash."""
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.hash == hash)).first()
        return None if row is None else _from_row(row)

    def revoke(self, id: str, *, at: datetime) -> Key:
        """End a key; one that has ended keeps the time it did. `NotFound`."""
        with self._database.write() as connection:
            alive = (keys.c.id == id) & keys.c.revoked.is_(None)
            connection.execute(update(keys).where(alive).values(revoked=at))
            return _one(connection, id)

    def expire(self, id: str, *, at: datetime) -> Key:
        """Have a key end at a time, or when it would have ended if that is before. `NotFound`."""
        with self._database.write() as connection:
            longer = (keys.c.id == id) & (keys.c.expires.is_(None) | (keys.c.expires > at))
            connection.execute(update(keys).where(longer).values(expires=at))
            return _one(connection, id)


def _one(connection: Connection, id: str) -> Key:
    row = connection.execute(select(keys).where(keys.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no key {id!r}", address=id, hint="kedge keys list shows their ids")
    return _from_row(row)


def _from_row(row: Row[Any]) -> Key:
    scopes, terms = tuple(map(Scope, row.scopes)), msgspec.convert(row.terms, Terms)
    return Key(**{**row._mapping, "scopes": scopes, "terms": terms})
