"""Metric values on their way to the ledger: taken at once, written in batches by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from kedge.core.errors import Broken, KedgeError, Unavailable
from kedge.core.ledger import Metrics
from kedge.core.run import Point

logger = logging.getLogger(__name__)

CAPACITY: Final = 100_000  # values that may wait; then `add` waits
BATCH: Final = 10_000  # as soon as so many wait they are written
EVERY_S: Final = 0.5  # how long a value waits for others, so that it is durable within a second
PATIENCE_S: Final = 60.0  # how long a ledger that is away is waited for before the caller is told
_RETRY_S: Final = 0.5


class MetricWriter:
    """Takes values from any thread and loses none: when too many wait, or the ledger is away, `add` waits."""

    def __init__(
        self, metrics: Metrics, *, capacity: int = CAPACITY, every: float = EVERY_S, patience: float = PATIENCE_S
    ) -> None:
        self._metrics = metrics
        self._capacity = capacity
        self._batch = min(BATCH, capacity)
        self._every = every
        self._patience = patience
        self.forget()

    def forget(self) -> None:
        """Begin empty, as a forked child must: what waits belongs to the parent, and so does its thread."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: list[Point] = []
        self._in_flight = 0  # values being written
        self._written = 0
        self._wanted = 0  # how many written values somebody waits for in `flush`
        self._thread: threading.Thread | None = None
        self._error: KedgeError | None = None

    def add(self, point: Point) -> None:
        """Take a value. Waits while too many are waiting, and raises what keeps them from being written."""
        with self._lock:
            if self._thread is None or self._error is not None:
                self._prepare()
            if len(self._waiting) >= self._capacity:
                self._await(lambda: len(self._waiting) < self._capacity)
            self._waiting.append(point)
            length = len(self._waiting)
            if length == 1 or length == self._batch:
                self._changed.notify_all()

    def flush(self) -> None:
        """Return when every value taken so far is durable; raise what keeps it from being so."""
        with self._changed:
            target = self._written + self._in_flight + len(self._waiting)
            self._wanted = max(self._wanted, target)
            self._changed.notify_all()
            self._await(lambda: self._written >= target)

    def close(self) -> None:
        """Flush, and end the thread; a value added later starts another."""
        try:
            self.flush()
        finally:
            with self._changed:
                thread, self._thread = self._thread, None
                self._changed.notify_all()
            if thread is not None:
                thread.join()

    def _prepare(self) -> None:
        """Start the thread if there is none. An error that will not pass by waiting is raised."""
        if self._error is not None and not isinstance(self._error, Unavailable):
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kedge-metrics", daemon=True)
            self._thread.start()

    def _await(self, done: Callable[[], bool]) -> None:
        """Wait for the thread to get on, letting go of the lock meanwhile."""
        deadline = time.monotonic() + self._patience
        while not done():
            self._prepare()
            if self._error is not None and time.monotonic() > deadline:
                raise self._error
            self._changed.wait(min(1.0, self._patience))

    def _run(self) -> None:
        """Write until the thread is not the writer's any more."""
        me = threading.current_thread()
        try:
            while batch := self._gather(me):
                self._write(batch)
        finally:
            with self._changed:
                if self._thread is me:  # a bug: it ended without being asked to
                    self._thread = None
                    self._error = Broken("the metric writer stopped", hint="please report this")
                self._changed.notify_all()

    def _gather(self, me: threading.Thread) -> list[Point]:
        """Take what waits once it is enough, old enough or asked for; nothing at the end."""
        with self._changed:
            while self._thread is me and not self._waiting:
                self._changed.wait()
            due = time.monotonic() + self._every
            while self._thread is me and len(self._waiting) < self._batch and self._written >= self._wanted:
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            if self._thread is not me:
                return []
            batch, self._waiting = self._waiting, []
            self._in_flight += len(batch)
            self._changed.notify_all()
            return batch

    def _write(self, batch: list[Point]) -> None:
        """Write a batch; if that fails it waits again, before all that came later."""
        try:
            self._metrics.append(batch)
        except KedgeError as error:
            with self._changed:
                if self._error is None:
                    logger.warning("metrics cannot be written", extra={"error": error.message, "waiting": len(batch)})
                self._error = error
                self._in_flight -= len(batch)
                self._waiting[:0] = batch
                self._changed.notify_all()
                self._changed.wait(_RETRY_S)
        else:
            with self._changed:
                self._in_flight -= len(batch)
                self._written += len(batch)
                self._error = None
                self._changed.notify_all()
