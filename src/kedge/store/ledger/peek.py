"""A look into a ledger on SQLite without SQLAlchemy, for the one question that is asked most: is all of it done?

Loading SQLAlchemy takes longer than everything else in a run in which nothing is to do. What cannot be answered here
is answered by the ledger itself; a test holds the two equal.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kedge.core.run import Run, RunStatus, Worker
from kedge.core.spec import Spec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RUN = """
    SELECT id, stage, step, args, key, started, ended, code, environment, pipeline, host, pid, process_started
    FROM runs WHERE key = ? AND status = 'succeeded' ORDER BY ended DESC, id LIMIT 1
"""
_PORTS = """
    SELECT side, port, artifact, EXISTS (SELECT 1 FROM artifacts WHERE digest = artifact)
    FROM run_artifacts WHERE run = ?
"""
_METRICS = "SELECT name, value FROM series WHERE run = ? ORDER BY name"
_RUNNING = "SELECT EXISTS (SELECT 1 FROM runs WHERE status = 'running')"


class Peek:
    """Read-only answers; every method raises `Unanswered` when it cannot tell, and then the ledger must be asked."""

    def __init__(self, url: str) -> None:
        path = Path(url.removeprefix("sqlite:///"))
        if not url.startswith("sqlite:///") or not path.is_file():
            raise Unanswered
        try:
            self._database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            self._database.row_factory = sqlite3.Row
        except sqlite3.Error as error:
            raise Unanswered from error

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def any_running(self) -> bool:
        """Whether a run is on record as running."""
        return bool(self._ask(_RUNNING)[0][0])

    def succeeded(self, key: str) -> Run | None:
        """The newest succeeded run with this key, if all of its outputs are still on record."""
        rows = self._ask(_RUN, key)
        if not rows:
            return None
        row = rows[0]
        ports = self._ask(_PORTS, row["id"])
        if not all(there for side, _, _, there in ports if side == "output"):
            return None
        values = {name: float("nan") if value is None else value for name, value in self._ask(_METRICS, row["id"])}
        worker = Worker(host=row["host"], pid=row["pid"], started=row["process_started"]) if row["pid"] else None
        return Run(
            id=row["id"],
            stage=row["stage"],
            spec=Spec(name=row["step"], args=json.loads(row["args"])),
            key=key,
            status=RunStatus.SUCCEEDED,
            started=_EPOCH + timedelta(microseconds=row["started"]),
            code=row["code"],
            environment=json.loads(row["environment"]),
            inputs={port: artifact for side, port, artifact, _ in ports if side == "input"},
            outputs={port: artifact for side, port, artifact, _ in ports if side == "output"},
            metrics=values,
            pipeline=row["pipeline"],
            worker=worker,
            ended=_EPOCH + timedelta(microseconds=row["ended"]),
        )

    def _ask(self, statement: str, *values: str) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise Unanswered from error


class Unanswered(Exception):
    """This ledger cannot be looked into this way."""
