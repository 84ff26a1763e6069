"""Cases that wait for a person, and the labels people gave them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, insert, select

from kedge.core.errors import NotFound
from kedge.core.review import ReviewCase, ReviewLabel, Why
from kedge.store.ledger.connection import Database, insert_new
from kedge.store.ledger.tables import review_cases, review_labels, row_of


class SqlReviews:
    """Cases are added once; labels are appended, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, cases: Sequence[ReviewCase]) -> int:
        """Put cases into their queues; how many were not there yet."""
        with self._database.write() as connection:
            return sum(insert_new(connection, review_cases, row_of(review_cases, case)) for case in cases)

    def cases(self, queue: str = "") -> list[ReviewCase]:
        """The cases of a queue (or of all), in the order in which they were added."""
        statement = select(review_cases).order_by(review_cases.c.added, review_cases.c.id)
        if queue:
            statement = statement.where(review_cases.c.queue == queue)
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(statement)]

    def label(self, label: ReviewLabel) -> None:
        """Append a label. `NotFound` if there is no such case."""
        with self._database.write() as connection:
            if connection.execute(select(review_cases.c.id).where(review_cases.c.id == label.case)).first() is None:
                raise NotFound(f"no case {label.case!r} waits for review", address=label.case, hint="kedge review next")
            row = row_of(review_labels, label)
            connection.execute(insert(review_labels).values(row))

    def labels(self, queue: str = "") -> list[ReviewLabel]:
        """The labels in force in a queue (or in all): each person's newest on each case, in the order given."""
        newest = select(func.max(review_labels.c.id)).group_by(review_labels.c.case, review_labels.c.reviewer)
        statement = select(review_labels).where(review_labels.c.id.in_(newest)).order_by(review_labels.c.id)
        if queue:
            inside = select(review_cases.c.id).where(review_cases.c.queue == queue)
            statement = statement.where(review_labels.c.case.in_(inside))
        with self._database.read() as connection:
            return [_label(row) for row in connection.execute(statement)]


def _from_row(row: Row[Any]) -> ReviewCase:
    values = {name: value for name, value in row._mapping.items() if name != "id"}
    return ReviewCase(**{**values, "why": Why(row.why)})


def _label(row: Row[Any]) -> ReviewLabel:
    return ReviewLabel(**{name: value for name, value in row._mapping.items() if name != "id"})
