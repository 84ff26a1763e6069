"""Blobs kept in memory."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kedge.core.errors import Broken, NotFound
from kedge.core.hashing import digest as digest_bytes
from kedge.core.hashing import parse_digest
from kedge.core.ports import BlobInfo


@dataclass(slots=True)
class _Kept:
    data: bytes
    modified: float


class MemoryBlobs:
    """A BlobStore in memory; `fetch` writes into a temporary folder that goes with the object.

    `time` gives the seconds that blobs are stamped with; `files` holds what was published beside them.
    """

    def __init__(self, time: Callable[[], float] = time.time) -> None:
        self.files: dict[str, bytes] = {}
        self._kept: dict[str, _Kept] = {}
        self._time = time
        self._folder: Path | None = None

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        name = digest_bytes(data)
        self._kept[name] = _Kept(bytes(data), self._time())
        return name

    def put_file(self, path: Path) -> str:
        """Store a file and return its digest."""
        return self.put(path.read_bytes())

    def get(self, digest: str) -> bytes:
        """The bytes, verified. `NotFound`; `Broken`."""
        if parse_digest(digest) not in self._kept:
            raise NotFound(f"no blob {digest}", address=digest)
        data = self._kept[digest].data
        if digest_bytes(data) != digest:
            raise Broken(f"the blob is damaged: {digest}", address=digest)
        return data

    def fetch(self, digest: str) -> Path:
        """A file with the bytes. `NotFound`; `Broken`."""
        data = self.get(digest)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kedge-blobs-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / digest.removeprefix("sha256:")
        path.write_bytes(data)
        return path

    def delete(self, digest: str, *, before: float | None = None) -> bool:
        """Remove, with `before` only what was last put earlier; whether it was removed."""
        kept = self._kept.get(parse_digest(digest))
        if kept is None or (before is not None and kept.modified >= before):
            return False
        del self._kept[digest]
        return True

    def list(self) -> Iterator[BlobInfo]:
        """Every blob."""
        for name, kept in list(self._kept.items()):
            yield BlobInfo(digest=name, size=len(kept.data), modified=kept.modified)

    def publish(self, name: str, data: bytes) -> None:
        """Keep a file that stands beside the blobs, such as `index.json`."""
        self.files[name] = data

    def damage(self, digest: str, data: bytes) -> None:
        """Replace the stored bytes with others, as a failing disk would."""
        self._kept[digest].data = data
