"""Endpoints, what was sent to them, and what their gateways last said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select

from kedge.core.catalogue import nearest
from kedge.core.errors import Conflict, NotFound
from kedge.core.release import Endpoint, Heartbeat, Release, Role
from kedge.store.ledger.connection import Database, put
from kedge.store.ledger.tables import endpoints, heartbeats, model_versions, releases, row_of


class SqlReleases:
    """Releases: appended, never changed; the newest of a role is in force."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bind(self, endpoint: Endpoint) -> None:
        """Create an endpoint or change what it follows."""
        row = {"name": endpoint.name, "model": endpoint.model, "alias": endpoint.alias}
        with self._database.write() as connection:
            put(connection, endpoints, row)

    def endpoints(self) -> list[Endpoint]:
        """All endpoints by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(endpoints).order_by(endpoints.c.name))
            return [Endpoint(name=row.name, model=row.model, alias=row.alias) for row in rows]

    def send(self, release: Release) -> Release:
        """Append a release (`release.id` is ignored). `NotFound` if there is no such endpoint or version; `Conflict` if the
        version has another bundle."""
        with self._database.write(alone=True) as connection:
            names = list(connection.scalars(select(endpoints.c.name)))
            if release.endpoint not in names:
                hint = nearest(release.endpoint, names)
                raise NotFound(f"there is no endpoint {release.endpoint!r}", address=release.endpoint, hint=hint)
            version = (model_versions.c.name == release.model) & (model_versions.c.version == release.version)
            bundle = connection.execute(select(model_versions.c.bundle).where(version)).scalar()
            address = f"{release.model}@{release.version}"
            if bundle is None:
                raise NotFound(f"there is no {address} to release", address=address, hint="kedge models lists versions")
            if bundle != release.bundle:
                raise Conflict(f"{address} is not the bundle {release.bundle}", address=address, hint=f"it is {bundle}")
            row = row_of(releases, release)
            del row["id"]
            result = connection.execute(insert(releases).values(row).returning(releases.c.id))
            return replace(release, id=result.scalar_one())

    def current(self, endpoint: str) -> Mapping[Role, Release]:
        """The release in force of each role."""
        with self._database.read() as connection:
            rows = connection.execute(in_force().where(releases.c.endpoint == endpoint))
            return {release.role: release for release in map(_from_row, rows)}

    def history(self, endpoint: str) -> list[Release]:
        """All releases of an endpoint, oldest first."""
        statement = select(releases).where(releases.c.endpoint == endpoint).order_by(releases.c.id)
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(statement)]

    def beat(self, heartbeat: Heartbeat) -> None:
        """Record what a gateway process says of itself, replacing what it, or one before it at its URL, said before."""
        row = row_of(heartbeats, heartbeat)
        place = (heartbeats.c.endpoint, heartbeats.c.host, heartbeats.c.url)
        before = [column == row[column.name] for column in place]
        with self._database.write() as connection:
            connection.execute(delete(heartbeats).where(*before, heartbeats.c.pid != heartbeat.pid))
            put(connection, heartbeats, row)

    def heartbeats(self) -> list[Heartbeat]:
        """The last word of every gateway process, by endpoint and then by time."""
        statement = select(heartbeats).order_by(heartbeats.c.endpoint, heartbeats.c.at, heartbeats.c.pid)
        with self._database.read() as connection:
            return [Heartbeat(**row._mapping) for row in connection.execute(statement)]


def in_force() -> Select[Any]:
    """The newest release of each role of each endpoint; one without a share has ended the one before it."""
    newest = select(func.max(releases.c.id)).group_by(releases.c.endpoint, releases.c.role)
    return select(releases).where(releases.c.id.in_(newest), releases.c.share > 0)


def _from_row(row: Row[Any]) -> Release:
    return Release(**{**row._mapping, "role": Role(row.role)})
