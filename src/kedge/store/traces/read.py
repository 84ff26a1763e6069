"""Finds traces again, and drops the old ones."""

from __future__ import annotations

from dataclasses import fields

import sqlalchemy as sa

from kedge.core.errors import NotFound
from kedge.core.ports import Numbered
from kedge.core.trace import Trace
from kedge.store.traces.tables import connect, feedback, reaching, traces

_COLUMNS = [traces.c[field.name] for field in fields(Trace)]
_PURGED_AT_ONCE = 5_000


class DatabaseTraces:
    """A TraceReader over SQLite or PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)

    def get(self, id: str) -> Trace:
        """The trace with this id. `NotFound`; `Unavailable`."""
        with reaching(self._engine), self._engine.connect() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(traces.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(
                f"no trace {id[:80]!r}",
                address=f"trace:{id[:80]}",
                hint="a gateway under overload drops traces, and old ones are purged; the receipt still names the bundle",
            )
        return _trace(row)

    def search(self, *, endpoint: str = "", bundle: str = "", since: float = 0.0, limit: int = 100) -> list[Trace]:
        """Traces by endpoint, bundle and time, newest first. `Unavailable`."""
        query = sa.select(*_COLUMNS).where(traces.c.at >= since).order_by(traces.c.at.desc()).limit(limit)
        if bundle:
            query = query.where(traces.c.bundle == bundle)
        if endpoint:  # beside a bundle, which says more, its index would only lead astray
            query = query.where((traces.c.endpoint.concat("") if bundle else traces.c.endpoint) == endpoint)
        with reaching(self._engine), self._engine.connect() as connection:
            return [_trace(row) for row in connection.execute(query)]

    def after(self, number: int, *, endpoint: str, limit: int = 1000) -> list[Numbered[Trace]]:
        """An endpoint's traces written after a number, in that order. `Unavailable`."""
        query = sa.select(traces.c.number, *_COLUMNS).where(traces.c.number > number)
        # by number: the index of the endpoint would have to be sorted
        query = query.where(traces.c.endpoint.concat("") == endpoint).order_by(traces.c.number).limit(limit)
        with reaching(self._engine), self._engine.connect() as connection:
            found = [dict(row._mapping) for row in connection.execute(query)]
        return [Numbered(number=row.pop("number"), value=Trace(**row)) for row in found]

    def last(self) -> int:
        """The number of the newest trace, 0 without one. `Unavailable`."""
        with reaching(self._engine), self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(traces.c.number))).scalar() or 0

    def count(self, *, bundle: str = "") -> int:
        """How many are kept, of all or of one bundle. `Unavailable`."""
        query = sa.select(sa.func.count()).select_from(traces)
        if bundle:
            query = query.where(traces.c.bundle == bundle)
        with reaching(self._engine), self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def purge(self, before: float) -> int:
        """Drop traces and feedback older than `before` (seconds since the epoch), a few thousand at a time; how many
        traces."""
        oldest = sa.select(traces.c.number).where(traces.c.at < before).order_by(traces.c.at).limit(_PURGED_AT_ONCE)
        said = sa.delete(feedback).where(feedback.c.at < before)
        with reaching(self._engine), self._engine.begin() as connection:
            connection.execute(said)
        purged = 0
        while True:
            with reaching(self._engine), self._engine.begin() as connection:
                gone = connection.execute(sa.delete(traces).where(traces.c.number.in_(oldest))).rowcount
            purged += gone
            if gone < _PURGED_AT_ONCE:
                break
        if purged and self._engine.dialect.name == "sqlite":
            self._shrink()
        return purged

    def _shrink(self) -> None:
        """Give the pages that were freed back to the file system; a plain `execute` would stop after the first one."""
        with reaching(self._engine), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.executescript("PRAGMA incremental_vacuum")

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _trace(row: sa.Row[tuple[object, ...]]) -> Trace:
    return Trace(**row._mapping)
