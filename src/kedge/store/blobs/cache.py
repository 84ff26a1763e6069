"""Blobs that were read from afar, kept in a folder within a size."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from kedge.core.errors import Broken
from kedge.core.hashing import DIGEST, parse_digest
from kedge.store.blobs.atomic import hash_chunks, read_chunks, remove_stale, storing, temporary, write_all

LIMIT = 20 << 30
IN_USE = 600.0


class ReadCache:
    """A folder of verified copies. Beyond `limit` bytes those longest unused go, but none used in the last 10 minutes:
    somebody may be about to open it."""

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self.folder = folder.absolute()
        self.limit = limit
        self._scratch = self.folder / "tmp"
        self._verified: set[tuple[str, int]] = set()
        self._size: int | None = None

    def find(self, digest: str) -> Path | None:
        """The copy, if there is a whole one; verified once a process."""
        path = self._path(digest)
        try:
            seen = (digest, path.stat().st_ino)
            if seen not in self._verified:
                if hash_chunks(read_chunks(path)) != digest:
                    path.unlink(missing_ok=True)
                    return None
                self._verified.add(seen)
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def keep(self, digest: str, chunks: Iterable[bytes | memoryview]) -> Path:
        """Copy bytes while hashing them. `Broken` if they are not what the digest says; `Unavailable`."""
        with storing(str(self.folder)):
            if self._size is None:
                self._scratch.mkdir(parents=True, exist_ok=True)
                remove_stale(self._scratch)
            with temporary(self._scratch) as file:
                if hash_chunks(write_all(file, chunk) for chunk in chunks) != digest:
                    raise Broken(
                        f"the blob {digest} is damaged: its bytes are not what its name says",
                        address=digest,
                        hint="delete it and restore it from a copy, or run the step that made it again",
                    )
                path = self._path(digest)
                Path(str(file.name)).replace(path)
                self._verified.add((digest, path.stat().st_ino))
            self._make_room(path.stat().st_size)
        return path

    def drop(self, digest: str) -> None:
        """Forget a copy."""
        self._path(digest).unlink(missing_ok=True)

    def _make_room(self, added: int) -> None:
        self._size = self._measure() if self._size is None else self._size + added
        if self._size <= self.limit:
            return
        self._size = self._measure()  # other processes add and drop too
        horizon = time.time() - IN_USE
        for used, size, path in sorted(self._copies()):
            if self._size <= self.limit or used >= horizon:
                break
            path.unlink(missing_ok=True)
            self._size -= size

    def _measure(self) -> int:
        return sum(size for _, size, _ in self._copies())

    def _copies(self) -> list[tuple[float, int, Path]]:
        copies = []
        for path in self.folder.iterdir():
            if DIGEST.fullmatch(f"sha256:{path.name}"):
                try:
                    status = path.stat()
                except FileNotFoundError:  # another process was first
                    continue
                copies.append((status.st_mtime, status.st_size, path))
        return copies

    def _path(self, digest: str) -> Path:
        return self.folder / parse_digest(digest).removeprefix("sha256:")
