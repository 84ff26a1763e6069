"""Rollouts, what they decided, and which process decides."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from kedge.core.errors import Conflict, NotFound
from kedge.core.rollout import Reading, Rollout, RolloutEvent
from kedge.store.ledger.connection import Database, put
from kedge.store.ledger.tables import leases, rollout_events, rollouts


class SqlRollouts:
    """Rollouts: at most one of an endpoint is under way. Their events are appended, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, rollout: Rollout, event: RolloutEvent) -> None:
        """Record a rollout that begins. `Conflict` if one of the endpoint is under way."""
        with self._database.write(alone=True) as connection:
            busy = connection.execute(select(rollouts.c.model, rollouts.c.version).where(_active(rollout.endpoint)))
            if (other := busy.first()) is not None:
                raise Conflict(
                    f"a rollout of {other.model}@{other.version} to {rollout.endpoint} is under way",
                    address=rollout.endpoint,
                    hint=f"see kedge rollout status {rollout.endpoint}, or end it: kedge rollout abort {rollout.endpoint}",
                )
            connection.execute(insert(rollouts).values(_to_row(rollout)))
            connection.execute(insert(rollout_events).values(_event_row(event)))

    def change(self, before: Rollout, after: Rollout, event: RolloutEvent | None = None) -> None:
        """Replace a rollout by what it is now, and append what happened. `Conflict` if it is not what it was."""
        with self._database.write(alone=True) as connection:
            if _get(connection, before.id) != before:
                raise Conflict(
                    f"the rollout to {before.endpoint} was changed meanwhile",
                    address=before.endpoint,
                    hint="look again: kedge rollout status",
                )
            row = _to_row(after)
            connection.execute(update(rollouts).where(rollouts.c.id == before.id).values(row))
            if event is not None:
                connection.execute(insert(rollout_events).values(_event_row(event)))

    def get(self, id: str) -> Rollout:
        """`NotFound`."""
        with self._database.read() as connection:
            return _get(connection, id)

    def active(self, endpoint: str) -> Rollout | None:
        """The rollout of an endpoint that is under way."""
        with self._database.read() as connection:
            row = connection.execute(select(rollouts.c.body).where(_active(endpoint))).first()
            return None if row is None else _from_row(row)

    def history(self, endpoint: str = "") -> list[Rollout]:
        """Every rollout of an endpoint (or of all), oldest first."""
        statement = select(rollouts.c.body).order_by(rollouts.c.started, rollouts.c.id)
        if endpoint:
            statement = statement.where(rollouts.c.endpoint == endpoint)
        with self._database.read() as connection:
            return [_from_row(row) for row in connection.execute(statement)]

    def events(self, id: str) -> list[RolloutEvent]:
        """What happened to a rollout, oldest first."""
        statement = select(rollout_events).where(rollout_events.c.rollout == id).order_by(rollout_events.c.id)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(statement)]

    def lease(self, name: str, holder: str, *, at: datetime, until: datetime) -> bool:
        """Whether `holder` has the lease from now on: it had it, nobody had it, or its time was over."""
        with self._database.write(alone=True) as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).first()
            if row is not None and row.holder != holder and row.until > at:
                return False
            put(connection, leases, {"name": name, "holder": holder, "until": until})
            return True


def _active(endpoint: str) -> Any:
    return rollouts.c.active == endpoint


def _get(connection: Connection, id: str) -> Rollout:
    row = connection.execute(select(rollouts.c.body).where(rollouts.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no rollout {id!r}", address=id, hint="kedge rollout history lists them")
    return _from_row(row)


def _to_row(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "endpoint": rollout.endpoint,
        "active": rollout.endpoint if rollout.is_under_way else None,
        "model": rollout.model,
        "version": rollout.version,
        "started": rollout.started,
        "body": msgspec.json.encode(rollout).decode(),
    }


def _from_row(row: Row[Any]) -> Rollout:
    return msgspec.json.decode(row.body, type=Rollout)


def _event_row(event: RolloutEvent) -> dict[str, Any]:
    return {
        "rollout": event.rollout,
        "at": event.at,
        "by": event.by,
        "action": event.action,
        "step": event.step,
        "reason": event.reason,
        "readings": msgspec.json.encode(event.readings).decode(),
    }


def _event(row: Row[Any]) -> RolloutEvent:
    facts = {name: value for name, value in row._mapping.items() if name not in ("id", "readings")}
    return RolloutEvent(**facts, readings=msgspec.json.decode(row.readings, type=tuple[Reading, ...]))
