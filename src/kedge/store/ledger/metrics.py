"""Values over the steps of runs, and the last value of each."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from kedge.core.errors import Invalid, NotFound
from kedge.core.run import Point
from kedge.store.ledger.connection import Database, Insertion
from kedge.store.ledger.tables import points, series

_UPSERT = Insertion(
    "series (run, name, step, value, at)",
    5,
    "ON CONFLICT (run, name) DO UPDATE SET step = excluded.step, value = excluded.value, at = excluded.at"
    " WHERE excluded.step >= series.step",
)
_APPEND = Insertion("points (series, step, value, at)", 4)


class SqlMetrics:
    """Metrics of runs. A value that is not a number is kept, as a loss that has become NaN is news."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, points: Sequence[Point]) -> None:
        """Record a batch: durable when this returns, and the runs' last values with it. `NotFound` if a run is not there.

        The last value is the one of the highest step, and of several at that step the one recorded last.
        """
        if points:
            with self._database.write() as connection:
                append_points(self._database, connection, points)

    def history(self, run: str, name: str) -> list[Point]:
        """All values of one metric by step, and within a step as they were recorded."""
        statement = (
            select(points.c.step, points.c.value, points.c.at)
            .join(series, series.c.id == points.c.series)
            .where(series.c.run == run, series.c.name == name)
            .order_by(points.c.step, points.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [Point(run=run, name=name, step=step, value=from_value(value), at=at) for step, value, at in rows]

    def names(self, run: str) -> list[str]:
        """The metrics a run has, by name."""
        with self._database.read() as connection:
            return list(connection.scalars(select(series.c.name).where(series.c.run == run).order_by(series.c.name)))


def append_points(database: Database, connection: Connection, batch: Sequence[Point]) -> None:
    """Record a batch in a transaction that is open."""
    last: dict[tuple[str, str], Point] = {}
    for point in batch:
        key = (point.run, point.name)
        before = last.get(key)
        if before is None or point.step >= before.step:
            last[key] = point
    # Sorted, so that two writers of the same runs lock them in the same order.
    heads = [(run, name, p.step, to_value(p.value), p.at) for (run, name), p in sorted(last.items())]
    try:
        database.insert_many(connection, _UPSERT, heads)
        ids = _series_ids(connection, {run for run, _ in last})
        rows = [(ids[p.run, p.name], p.step, to_value(p.value), p.at) for p in batch]
        database.insert_many(connection, _APPEND, rows)
    except IntegrityError as error:
        names = ", ".join(sorted({run for run, _ in last}))
        raise NotFound(f"metrics for a run that is not there: {names}", hint="start the run first") from error
    except (OverflowError, TypeError, ValueError) as error:
        raise Invalid(f"not a metric's step and value: {error}", hint="a step is an integer below 2**63") from error


def _series_ids(connection: Connection, names: set[str]) -> dict[tuple[str, str], int]:
    statement = select(series.c.run, series.c.name, series.c.id).where(series.c.run.in_(names))
    return {(row.run, row.name): row.id for row in connection.execute(statement)}


def to_value(value: float) -> float | None:
    """A value as it is stored: NaN as NULL, which no database loses or orders in its own way."""
    number = float(value)
    return number if number == number else None  # NaN is not itself; a call of isnan costs more


def from_value(value: float | None) -> float:
    """A value as it was logged."""
    return nan if value is None else value
