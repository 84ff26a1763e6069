"""Blobs in a folder: an OCI image layout that stock tools can read."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.hashing import DIGEST, parse_digest
from kedge.core.hashing import digest as digest_bytes
from kedge.core.ports import BlobInfo
from kedge.store.blobs.atomic import (
    hash_chunks,
    read_chunks,
    remove_stale,
    replace_file,
    settle,
    storing,
    temporary,
    write_all,
)
from kedge.store.blobs.index import LAYOUT


class LocalBlobs:
    """A BlobStore in a folder, safe for any number of processes at once.

    A blob is written under another name, brought to the disk and then renamed, so it is wholly there or not at all.
    `get` verifies each time; `fetch` once a process, and again when the file's inode, size or time changes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._blobs = self.folder / "blobs" / "sha256"
        self._scratch = self.folder / "tmp"
        self._verified: dict[str, tuple[int, int, int]] = {}
        with storing(str(self.folder)):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._scratch.mkdir(exist_ok=True)
            (self.folder / ".lock").touch()
            remove_stale(self._scratch)
        self.publish("oci-layout", LAYOUT)

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest. `Unavailable` if they cannot be written."""
        name = digest_bytes(data)
        with storing(str(self.folder)):
            if not self._renewed(name, len(data)):
                with temporary(self._scratch) as file:
                    write_all(file, data)
                    settle(file, self._path(name), read_only=True)
        return name

    def put_file(self, path: Path) -> str:
        """Store a file, hashed while it is copied. `NotFound`; `Invalid` if it is not a regular file; `Unavailable`."""
        hasher = hashlib.sha256()
        size = 0
        with storing(str(self.folder)), temporary(self._scratch) as file:
            for chunk in read_chunks(path):
                hasher.update(chunk)
                write_all(file, chunk)
                size += len(chunk)
            name = f"sha256:{hasher.hexdigest()}"
            if not self._renewed(name, size):
                settle(file, self._path(name), read_only=True)
        return name

    def get(self, digest: str) -> bytes:
        """The bytes, verified each time. `NotFound`; `Broken`."""
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise self._absent(digest) from error
        if digest_bytes(data) != digest:
            raise self._damaged(digest)
        return data

    def fetch(self, digest: str) -> Path:
        """The blob's own file, verified once a process. `NotFound`; `Broken`."""
        path = self._path(digest)
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise self._absent(digest) from error
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._verified.get(digest) != seen:
            if hash_chunks(read_chunks(path)) != digest:
                raise self._damaged(digest)
            self._verified[digest] = seen
        return path

    def delete(self, digest: str, *, before: float | None = None) -> bool:
        """Remove, with `before` only what was last put earlier; whether it was removed."""
        path = self._path(digest)
        with storing(str(self.folder)), self._lock(fcntl.LOCK_EX):
            try:
                if before is not None and path.stat().st_mtime >= before:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        self._verified.pop(digest, None)
        return True

    def list(self) -> Iterator[BlobInfo]:
        """Every blob."""
        with os.scandir(self._blobs) as entries:
            for entry in entries:
                digest = f"sha256:{entry.name}"
                if not DIGEST.fullmatch(digest):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # deleted while we look
                    continue
                yield BlobInfo(digest=digest, size=status.st_size, modified=status.st_mtime)

    def publish(self, name: str, data: bytes) -> None:
        """Replace a file that stands beside the blobs, such as `index.json`, atomically; the same bytes cost no write."""
        if "/" in name or name.startswith("."):
            raise Invalid(f"not the name of a file of the layout: {name!r}")
        target = self.folder / name
        with storing(str(self.folder)):
            if not target.exists() or target.read_bytes() != data:
                replace_file(target, data, scratch=self._scratch)

    def _renewed(self, digest: str, size: int) -> bool:
        """Make a stored blob new again, so that garbage collection sees it is wanted; whether it is there and whole."""
        path = self._path(digest)
        with self._lock(fcntl.LOCK_SH):
            try:
                if path.stat().st_size != size:  # damaged: writing it again heals it
                    return False
                os.utime(path)
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Keeps a deletion and a renewal of one blob apart; freed by the system if the process dies."""
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    def _path(self, digest: str) -> Path:
        return self._blobs / parse_digest(digest).removeprefix("sha256:")

    def _absent(self, digest: str) -> NotFound:
        return NotFound(f"no blob {digest} in {self.folder}", address=digest)

    def _damaged(self, digest: str) -> Broken:
        return Broken(
            f"the blob {digest} is damaged: its bytes are not what its name says",
            address=str(self._path(digest)),
            hint="delete the file and restore it from a copy, or run the step that made it again",
        )
