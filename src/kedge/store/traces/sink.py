"""Writes traces in batches from a thread of its own, so that no request ever waits for a disk."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from dataclasses import fields, replace
from itertools import chain
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from kedge.core.trace import Trace
from kedge.store.traces.tables import connect, in_order, traces

logger = logging.getLogger(__name__)

CAPACITY = 50_000
CAPACITY_BYTES = 128 << 20
BATCH = 2_000
AT_ONCE = tuple(1 << n for n in range(9, -1, -1))  # traces in one statement: few, as each waits for other threads
LINGER = 0.05  # seconds to wait for more before a batch is written
PATIENCE = 5.0  # seconds that `close` keeps trying when the database does not answer

Row = tuple[Any, ...]

_NAMES = tuple(column.name for column in traces.columns if column.name in {field.name for field in fields(Trace)})
_values = attrgetter(*_NAMES)


class DatabaseSink:
    """A TraceSink over a bounded queue and one writer thread. What does not fit is dropped and counted."""

    def __init__(self, url: str, *, capacity: int = CAPACITY, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._engine = connect(url)
        self._statements = _statements(self._engine)
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._queue: deque[Trace] = deque()
        self._bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._write_until_closed, name="kedge-traces", daemon=True)
        self._thread.start()

    def add(self, trace: Trace) -> None:
        """Queue a trace, or drop and count it: the queue is full, or the sink closed."""
        size = _size(trace)
        with self._lock:
            full = len(self._queue) >= self._capacity or self._bytes + size > self._capacity_bytes
            if full or self._closing.is_set():
                self._dropped += 1
                return
            self._queue.append(trace)
            self._bytes += size
        if not self._wanted.is_set():
            self._wanted.set()

    @property
    def dropped(self) -> int:
        """How many traces were dropped since the start."""
        return self._dropped

    def close(self) -> None:
        """Write what is queued and stop; after 5 seconds without an answer from the database the rest is dropped."""
        if not self._closing.is_set():
            self._deadline = time.monotonic() + PATIENCE
            self._closing.set()
            self._wanted.set()
            self._thread.join()
            self._engine.dispose()

    def _write_until_closed(self) -> None:
        while True:
            self._wanted.wait()
            self._closing.wait(LINGER)
            self._wanted.clear()
            while batch := self._take():
                self._write(batch)
            if self._closing.is_set():
                return

    def _take(self) -> list[Trace]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(map(_size, batch))
        return batch

    def _write(self, batch: list[Trace]) -> None:
        """Write a batch, again and again while the database does not answer; meanwhile the queue fills."""
        rows = [_row(trace) for trace in batch]
        pause = 0.1
        while True:
            try:
                self._insert(rows)
            except (OperationalError, InterfaceError) as error:
                logger.warning("traces cannot be written", extra={"error": str(error.orig), "traces": len(rows)})
            except (DBAPIError, ValueError, OverflowError):
                self._write_singly(rows)
                return
            else:
                return
            if self._closing.is_set():
                if time.monotonic() + pause > self._deadline:
                    self._drop(len(rows))
                    return
                time.sleep(pause)
            self._closing.wait(pause)
            pause = min(pause * 2, 5.0)

    def _write_singly(self, rows: list[Row]) -> None:
        """Write what can be written of a batch that holds something no database takes."""
        for row in rows:
            try:
                self._insert([row])
            except (DBAPIError, ValueError, OverflowError) as error:
                logger.warning("a trace cannot be written", extra={"error": str(error), "trace": row[0]})
                self._drop(1)

    def _insert(self, rows: list[Row]) -> None:
        with self._engine.begin() as connection:
            in_order(connection)
            begin = 0
            for size, statement in self._statements.items():
                while begin + size <= len(rows):
                    connection.exec_driver_sql(statement, tuple(chain(*rows[begin : begin + size])))
                    begin += size

    def _drop(self, n: int) -> None:
        with self._lock:
            self._dropped += n


def _statements(engine: sa.Engine) -> dict[int, str]:
    """The driver's own SQL that adds so many traces by position; a trace that is there already stays as it is.

    Handing rows straight to the driver takes 10 microseconds of a core less a trace than SQLAlchemy's parameters.
    """
    postgres = engine.dialect.name == "postgresql"
    insert = postgresql.insert(traces) if postgres else sqlite.insert(traces)
    dialect = type(engine.dialect)(paramstyle="format" if postgres else "qmark")  # type: ignore[call-arg]  # every real one takes it
    quiet = insert.on_conflict_do_nothing(index_elements=["id"]).inline()
    before, values, row = str(quiet.compile(dialect=dialect, column_keys=_NAMES)).partition(" VALUES ")
    row, conflict, behind = row.partition(" ON CONFLICT ")
    room = _room(engine) // len(_NAMES)
    return {n: f"{before}{values}{', '.join([row] * n)}{conflict}{behind}" for n in AT_ONCE if n <= room}


def _room(engine: sa.Engine) -> int:
    """How many values a statement takes: of SQLite that depends on how it was built."""
    if engine.dialect.name != "sqlite":
        return 0xFFFF
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        limit: int = driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        return limit


def _size(trace: Trace) -> int:
    return 512 + len(trace.prompt) + len(trace.answer)


def _row(trace: Trace) -> Row:
    if not (_is_plain(trace.prompt) and _is_plain(trace.answer) and _is_plain(trace.error)):
        trace = replace(
            trace, prompt=storable(trace.prompt), answer=storable(trace.answer), error=storable(trace.error)
        )
    row: Row = _values(trace)
    return row


def _is_plain(text: str) -> bool:
    return text.isascii() and "\0" not in text


def storable(text: str) -> str:
    """Text that every database takes: NUL and half a surrogate pair, which a caller can send, become visible signs."""
    return text.replace("\0", "\u2400").encode(errors="replace").decode()
