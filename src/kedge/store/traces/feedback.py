"""What was said of the answers, kept beside their traces."""

from __future__ import annotations

from dataclasses import fields, replace

import sqlalchemy as sa

from kedge.core.ports import Numbered
from kedge.core.trace import Feedback
from kedge.store.traces.sink import storable
from kedge.store.traces.tables import connect, feedback, in_order, reaching

_COLUMNS = [feedback.c[field.name] for field in fields(Feedback)]


class DatabaseFeedback:
    """Feedbacks over SQLite or PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)

    def add(self, said: Feedback) -> None:
        """Keep what was said: durable when this returns. `Unavailable`."""
        kept = replace(said, comment=storable(said.comment))
        row = {column.name: getattr(kept, column.name) for column in _COLUMNS}
        with reaching(self._engine), self._engine.begin() as connection:
            in_order(connection)
            connection.execute(sa.insert(feedback).values(row))

    def of(self, trace: str) -> list[Feedback]:
        """What was said of one answer, oldest first. `Unavailable`."""
        query = sa.select(*_COLUMNS).where(feedback.c.trace == trace).order_by(feedback.c.number)
        with reaching(self._engine), self._engine.connect() as connection:
            return [Feedback(**row._mapping) for row in connection.execute(query)]

    def after(self, number: int, *, endpoint: str, limit: int = 1000) -> list[Numbered[Feedback]]:
        """What was said of an endpoint's answers after a number, in that order. `Unavailable`."""
        query = sa.select(feedback.c.number, *_COLUMNS).where(feedback.c.number > number)
        query = query.where(feedback.c.endpoint == endpoint).order_by(feedback.c.number).limit(limit)
        with reaching(self._engine), self._engine.connect() as connection:
            found = [dict(row._mapping) for row in connection.execute(query)]
        return [Numbered(number=row.pop("number"), value=Feedback(**row)) for row in found]

    def last(self) -> int:
        """The number of the newest feedback, 0 without one. `Unavailable`."""
        with reaching(self._engine), self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(feedback.c.number))).scalar() or 0

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()
