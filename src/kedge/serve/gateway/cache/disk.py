"""Answers kept in a file, so that they outlive the gateway and are shared by several: bounded, and deleted at will."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path

import msgspec

from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationEvent
from kedge.serve.gateway.cache.memory import Kept

logger = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    fingerprint BLOB PRIMARY KEY, value BLOB NOT NULL, until REAL NOT NULL, stored REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_stored ON answers (stored);
"""
_DROP_OLDEST = """
DELETE FROM answers WHERE fingerprint IN
    (SELECT fingerprint FROM answers ORDER BY stored LIMIT 1 + (SELECT count(*) FROM answers) / 10)
"""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[GenerationEvent, ...]).decode
_PRUNE_EVERY = 256
_PAGE = 4096


class Disk:
    """Answers by fingerprint in an SQLite file that only its owner can read. Blocks: called in a thread, one at a time.

    A file that is damaged is begun anew: nothing in it is the only copy of anything.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._puts = 0
        self._connection = self._open()

    def get(self, fingerprint: bytes) -> Kept | None:
        """What is kept, unless it is too old."""
        try:
            statement = "SELECT value, until FROM answers WHERE fingerprint = ? AND until > ?"
            row = self._connection.execute(statement, (fingerprint, time.time())).fetchone()
            return Kept(events=_decode(row[0]), until=row[1]) if row else None
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            self._begin_anew(error)
            return None

    def put(self, fingerprint: bytes, kept: Kept) -> None:
        """Keep it, in place of the oldest if there is too much."""
        row = (fingerprint, _encode(kept.events), kept.until, time.time())
        try:
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row)
            self._puts += 1
            if self._puts % _PRUNE_EVERY == 1:
                self._prune()
        except sqlite3.Error as error:
            self._begin_anew(error)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _prune(self) -> None:
        """Drop what is too old, then the oldest tenth for as long as the file is too large."""
        self._connection.execute("DELETE FROM answers WHERE until <= ?", (time.time(),))
        while self._used() > self._most:
            if not self._connection.execute(_DROP_OLDEST).rowcount:
                return

    def _used(self) -> int:
        pages, free = (
            self._connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("page_count", "freelist_count")
        )
        return _PAGE * int(pages - free)

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            said = f"the cache cannot be kept on disk: {error.strerror}"
            raise Unavailable(said, address=str(self._path), hint="set the endpoint's cache.disk to 0") from error
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=1.0)
        try:
            for pragma in (f"page_size={_PAGE}", "journal_mode=WAL", "synchronous=OFF"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            connection.close()
            raise Unavailable(f"the cache cannot be opened: {error}", address=str(self._path)) from error
        except sqlite3.DatabaseError:
            connection.close()
            self._path.unlink()
            return self._open()
        return connection

    def _begin_anew(self, error: Exception) -> None:
        logger.warning("the cache on disk cannot be used", extra={"error": str(error), "path": str(self._path)})
        if isinstance(error, sqlite3.OperationalError):  # busy or full: nothing is wrong with the file
            return
        self._connection.close()
        self._path.unlink(missing_ok=True)
        self._connection = self._open()
