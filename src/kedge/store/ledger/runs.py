"""Runs, with their parameters, inputs and outputs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from kedge.core.errors import Conflict, Invalid, NotFound
from kedge.core.hashing import canonical
from kedge.core.ledger import RunQuery
from kedge.core.run import Point, Run, RunStatus, Worker
from kedge.core.spec import Spec
from kedge.store.ledger.connection import Database
from kedge.store.ledger.metrics import append_points, from_value
from kedge.store.ledger.search import find_runs
from kedge.store.ledger.tables import begins, run_artifacts, run_params, runs, series

MIN_PREFIX: Final = 4
_CHUNK: Final = 1000  # ids in one IN list


class SqlRuns:
    """Runs by id, by key, by artifact and by search."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, run: Run) -> None:
        """Record a run that begins, or a whole one from elsewhere. `Conflict` if its id is taken."""
        with self._database.write() as connection:
            try:
                connection.execute(insert(runs), _to_row(run))
            except IntegrityError as error:
                raise Conflict(f"there is a run {run.id} already", address=run.id) from error
            _add_params(connection, run.id, run.params)
            _add_artifacts(connection, run.id, "input", run.inputs)
            _add_artifacts(connection, run.id, "output", run.outputs)
            at = run.started.timestamp()
            points = [Point(run=run.id, name=name, step=0, value=value, at=at) for name, value in run.metrics.items()]
            if points:
                append_points(self._database, connection, points)

    def add_params(self, id: str, params: Mapping[str, Any]) -> None:
        """Add arguments to the spec of a running run. `NotFound`; `Conflict` if it has ended, or has one of them with
        another value."""
        added = json.loads(canonical(dict(params)))  # compared as they will be read back
        with self._database.write(alone=True) as connection:
            row = connection.execute(select(runs.c.status, runs.c.args).where(runs.c.id == id)).first()
            if row is None:
                raise _not_found(id)
            if row.status != RunStatus.RUNNING:
                raise Conflict(f"run {id} has ended already: {row.status}", address=id, hint="start another run")
            for name in added.keys() & row.args.keys():
                if added[name] != row.args[name]:
                    text = f"parameter {name!r} of run {id} is {row.args[name]!r:.200}"
                    raise Conflict(text, address=id, hint="a parameter does not change; log what changes as a metric")
            new = {name: value for name, value in added.items() if name not in row.args}
            connection.execute(update(runs).where(runs.c.id == id).values(args={**row.args, **new}))
            _add_params(connection, id, new)

    def finish(
        self, id: str, status: RunStatus, *, ended: datetime, outputs: Mapping[str, str] | None = None, error: str = ""
    ) -> None:
        """Record how it ended. `NotFound`; `Conflict` if it has ended already."""
        with self._database.write() as connection:
            running = (runs.c.id == id) & (runs.c.status == RunStatus.RUNNING)
            done = connection.execute(update(runs).where(running).values(status=status, ended=ended, error=error))
            if done.rowcount == 0:
                was = connection.execute(select(runs.c.status).where(runs.c.id == id)).scalar()
                if was is None:
                    raise _not_found(id)
                raise Conflict(f"run {id} has ended already: {was}", address=id)
            _add_artifacts(connection, id, "output", outputs or {})

    def get(self, id: str) -> Run:
        """One run by id or by a unique prefix of at least 4 characters. `NotFound`; `Invalid` if ambiguous."""
        with self._database.read() as connection:
            found = _load(connection, select(runs).where(runs.c.id == id))
            if not found and len(id) >= MIN_PREFIX:
                found = _load(connection, select(runs).where(begins(runs.c.id, id)).limit(6))
        if not found:
            raise _not_found(id)
        if len(found) > 1:
            names = ", ".join(run.id for run in found[:5])
            raise Invalid(f"{id!r} begins the ids of several runs", address=id, hint=f"write more of it: {names}")
        return found[0]

    def succeeded(self, key: str) -> Run | None:
        """The newest succeeded run with this key."""
        wanted = (runs.c.key == key) & (runs.c.status == RunStatus.SUCCEEDED)
        with self._database.read() as connection:
            found = _load(connection, select(runs).where(wanted).order_by(runs.c.ended.desc(), runs.c.id).limit(1))
        return found[0] if found else None

    def producing(self, artifact: str) -> list[Run]:
        """The succeeded runs that have this artifact as an output, oldest first."""
        return self._touching(artifact, "output", runs.c.status == RunStatus.SUCCEEDED)

    def using(self, artifact: str) -> list[Run]:
        """The runs that have this artifact as an input, oldest first."""
        return self._touching(artifact, "input")

    def search(self, query: RunQuery) -> list[Run]:
        """Runs by filter and order. `Invalid` names the part of the filter that cannot be read."""
        statement = find_runs(query)
        with self._database.read() as connection:
            ids = connection.scalars(statement).all()
            found = {run.id: run for chunk in _chunks(ids) for run in _load(connection, _by_id(chunk))}
        return [found[run] for run in ids]

    def _touching(self, artifact: str, side: str, *conditions: ColumnElement[bool]) -> list[Run]:
        ids = select(run_artifacts.c.run).where(run_artifacts.c.artifact == artifact, run_artifacts.c.side == side)
        statement = select(runs).where(runs.c.id.in_(ids), *conditions).order_by(runs.c.started, runs.c.id)
        with self._database.read() as connection:
            return _load(connection, statement)


def _not_found(id: str) -> NotFound:
    return NotFound(f"there is no run {id!r}", address=id, hint="kedge runs lists them")


def _by_id(ids: Sequence[str]) -> Select[Any]:
    return select(runs).where(runs.c.id.in_(ids))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _to_row(run: Run) -> dict[str, Any]:
    worker = run.worker
    return {
        "id": run.id,
        "stage": run.stage,
        "step": run.spec.name,
        "args": dict(run.spec.args),
        "key": run.key,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "code": run.code,
        "environment": dict(run.environment),
        "pipeline": run.pipeline,
        "host": worker.host if worker else None,
        "pid": worker.pid if worker else None,
        "process_started": worker.started if worker else None,
        "error": run.error,
    }


def _to_params(args: Mapping[str, Any], prefix: str = "") -> Iterator[dict[str, Any]]:
    """Parameters as they are searched for: nested tables by dotted names, numbers also as text."""
    for key, value in args.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _to_params(value, f"{name}.")
        elif isinstance(value, str):
            yield {"name": name, "number": None, "text": value}
        else:
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
            yield {"name": name, "number": number, "text": json.dumps(value)}


def _add_params(connection: Connection, run: str, args: Mapping[str, Any]) -> None:
    rows = [{"run": run, **param} for param in _to_params(args)]
    if rows:
        connection.execute(insert(run_params), rows)


def _add_artifacts(connection: Connection, run: str, side: str, ports: Mapping[str, str]) -> None:
    rows = [{"run": run, "side": side, "port": port, "artifact": artifact} for port, artifact in ports.items()]
    if rows:
        connection.execute(insert(run_artifacts), rows)


def _load(connection: Connection, statement: Select[Any]) -> list[Run]:
    """The runs a statement selects, in its order, each with all that belongs to it."""
    rows = connection.execute(statement).all()
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    ports: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for ids in _chunks([row.id for row in rows]):
        last = select(series.c.run, series.c.name, series.c.value).where(series.c.run.in_(ids))
        for run, name, value in connection.execute(last.order_by(series.c.name)):
            metrics[run][name] = from_value(value)
        for run, side, port, artifact in connection.execute(select(run_artifacts).where(run_artifacts.c.run.in_(ids))):
            ports[run, side][port] = artifact
    return [_from_row(row, metrics[row.id], ports[row.id, "input"], ports[row.id, "output"]) for row in rows]


def _from_row(row: Row[Any], metrics: dict[str, float], inputs: dict[str, str], outputs: dict[str, str]) -> Run:
    return Run(
        id=row.id,
        stage=row.stage,
        spec=Spec(name=row.step, args=row.args),
        key=row.key,
        status=RunStatus(row.status),
        started=row.started,
        code=row.code,
        environment=row.environment,
        inputs=inputs,
        outputs=outputs,
        metrics=metrics,
        pipeline=row.pipeline,
        worker=Worker(host=row.host, pid=row.pid, started=row.process_started) if row.pid is not None else None,
        ended=row.ended,
        error=row.error,
    )
