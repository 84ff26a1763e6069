"""Versions of models, the aliases that move over them, and the aliases' history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select

from kedge.core.catalogue import nearest
from kedge.core.errors import Conflict, NotFound, Refused
from kedge.core.model import AliasMove, ModelVersion
from kedge.store.ledger.artifacts import require_artifact
from kedge.store.ledger.connection import Database, put
from kedge.store.ledger.releases import in_force
from kedge.store.ledger.tables import alias_moves, aliases, model_versions, models, releases, row_of

_MOVE: Final = [column for column in alias_moves.c if column.name != "id"]


class SqlModels:
    """Model versions and aliases. What is in force cannot be removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, version: ModelVersion) -> ModelVersion:
        """Add the next version of a model (`version.version` is ignored). The same bundle again returns the version
        it has. `NotFound` if an artifact it names is not recorded."""
        same = (model_versions.c.name == version.name) & (model_versions.c.bundle == version.bundle)
        with self._database.write(alone=True) as connection:
            there = connection.execute(select(model_versions).where(same)).first()
            if there is not None:
                return _from_row(there)
            for digest in filter(None, (version.bundle, version.model, version.card)):
                require_artifact(connection, digest)
            last = connection.execute(select(models.c.last).where(models.c.name == version.name)).scalar() or 0
            put(connection, models, {"name": version.name, "last": last + 1})
            registered = replace(version, version=last + 1)
            row = row_of(model_versions, registered) | {"card": version.card or None}
            connection.execute(insert(model_versions).values(row))
            return registered

    def versions(self, name: str = "") -> list[ModelVersion]:
        """All versions of a model (or of all), oldest first."""
        statement = select(model_versions).order_by(model_versions.c.registered, *model_versions.primary_key)
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(_of(statement, model_versions.c.name, name))]

    def version(self, name: str, version: int) -> ModelVersion:
        """`NotFound` lists the versions there are."""
        with self._database.read() as connection:
            return _version(connection, name, version)

    def remove(self, name: str, version: int) -> None:
        """Delete a version. `NotFound`; `Refused` while an alias points at it or an endpoint serves it. Its number is
        never used again."""
        with self._database.write(alone=True) as connection:
            address = _version(connection, name, version).address
            pointing = select(aliases.c.alias).where(aliases.c.model == name, aliases.c.version == version)
            for alias in connection.scalars(pointing.order_by(aliases.c.alias)):
                hint = f"move the alias first: kedge promote {name}@OTHER --alias {alias}"
                raise Refused(f"{address} is {name}@{alias}", address=address, hint=hint)
            serving = in_force().where(releases.c.model == name, releases.c.version == version)
            for release in connection.execute(serving.order_by(releases.c.endpoint)):
                hint = "release another version to the endpoint first"
                raise Refused(f"endpoint {release.endpoint} serves {address}", address=address, hint=hint)
            row = (model_versions.c.name == name) & (model_versions.c.version == version)
            connection.execute(delete(model_versions).where(row))

    def move(self, move: AliasMove) -> None:
        """Point an alias at `move.after` and append to its history. `NotFound` if there is no such version; `Conflict`
        if the alias is not at `move.before`."""
        here = (aliases.c.model == move.model) & (aliases.c.alias == move.alias)
        with self._database.write(alone=True) as connection:
            _version(connection, move.model, move.after)
            at = connection.execute(select(aliases.c.version).where(here)).scalar()
            if at != move.before:
                address = f"{move.model}@{move.alias}"
                text = f"{address} is {'not set' if at is None else f'version {at}'}"
                expected = "unset" if move.before is None else f"at version {move.before}"
                raise Conflict(f"{text}, not {expected} any more", address=address, hint="look again, then repeat")
            added = insert(alias_moves).values(row_of(alias_moves, move)).returning(alias_moves.c.id)
            entry = connection.execute(added).scalar_one()
            put(connection, aliases, {"model": move.model, "alias": move.alias, "version": move.after, "move": entry})

    def aliases(self, name: str = "") -> list[AliasMove]:
        """The newest move of each alias of a model (or of all), by name."""
        newest = select(*_MOVE).join(aliases, aliases.c.move == alias_moves.c.id)
        statement = newest.order_by(aliases.c.model, aliases.c.alias)
        with self._database.read() as connection:
            return [AliasMove(**row._mapping) for row in connection.execute(_of(statement, aliases.c.model, name))]

    def history(self, name: str, alias: str) -> list[AliasMove]:
        """All moves of an alias, oldest first."""
        moves = (alias_moves.c.model == name) & (alias_moves.c.alias == alias)
        statement = select(*_MOVE).where(moves).order_by(alias_moves.c.id)
        with self._database.read() as connection:
            return [AliasMove(**row._mapping) for row in connection.execute(statement)]


def _of(statement: Any, column: Any, name: str) -> Any:
    return statement.where(column == name) if name else statement


def _version(connection: Connection, name: str, version: int) -> ModelVersion:
    of_model = select(model_versions).where(model_versions.c.name == name).order_by(model_versions.c.version)
    row = connection.execute(of_model.where(model_versions.c.version == version)).first()
    if row is not None:
        return _from_row(row)
    numbers = [str(row.version) for row in connection.execute(of_model)]
    if numbers:
        hint = f"there are {name}@" + ", @".join(numbers[-20:])
    else:
        hint = nearest(name, connection.scalars(select(models.c.name)))
    raise NotFound(f"there is no model version {name}@{version}", address=f"{name}@{version}", hint=hint)


def _from_row(row: Row[Any]) -> ModelVersion:
    return ModelVersion(**{**row._mapping, "card": row.card or ""})
