"""Opens a project: finds `kedge.toml` and wires the stores it names."""

from __future__ import annotations

import importlib
import os
import pwd
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from kedge.app.steps import load_steps
from kedge.config import Config, load_config, resolve_secret
from kedge.core.catalogue import Catalogue
from kedge.core.errors import NotFound
from kedge.core.ledger import Ledger
from kedge.core.ports import BlobStore, Clock, Feedbacks
from kedge.core.step import Step
from kedge.store.blobs.open import open_blobs
from kedge.store.traces.open import TraceReader, open_feedback, open_traces

FILE = "kedge.toml"
STATE = ".kedge"


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


class Project:
    """A folder with a `kedge.toml`, and the stores it names; each is opened when first used."""

    def __init__(self, root: Path, config: Config, *, clock: Clock | None = None, principal: str = "") -> None:
        self.root = root
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.principal = principal or f"user:{pwd.getpwuid(os.getuid()).pw_name}"

    @property
    def state(self) -> Path:
        """The folder that holds what is not the user's to edit; private to the user."""
        folder = self.root / STATE
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @cached_property
    def steps(self) -> Catalogue[Step]:
        """The kinds of stage there are; assign another catalogue to run with other steps."""
        return load_steps()

    @cached_property
    def ledger(self) -> Ledger:
        """The relational record."""
        store = importlib.import_module("kedge.store.ledger.open")  # by name: a run with nothing to do needs none of it
        ledger: Ledger = store.open_ledger(self.config.store.ledger, lock=self.state / "ledger.lock")
        return ledger

    @cached_property
    def blobs(self) -> BlobStore:
        """Content-addressed bytes."""
        return open_blobs(self.config.store.blobs, cache=self.state / "cache" / "blobs")

    @cached_property
    def traces(self) -> TraceReader:
        """What happened to each request."""
        return open_traces(self.config.store.traces)

    @cached_property
    def feedback(self) -> Feedbacks:
        """What was said of the answers."""
        return open_feedback(self.config.store.traces)

    @cached_property
    def secret(self) -> bytes:
        """The key that seals receipts and hashes API keys: from `project.secret`, or made once and kept with mode 0600."""
        if self.config.project.secret:
            return resolve_secret(self.config.project.secret, root=self.root).encode()
        return private_file(self.state / "secret", lambda: secrets.token_hex(32).encode())

    @contextmanager
    def recorded(self, action: str, subject: str, **detail: Any) -> Iterator[Ledger]:
        """One transaction with its audit record: if either cannot be written, neither is."""
        with self.ledger.begin() as tx:
            yield tx
            tx.audit.append(at=self.clock.now(), by=self.principal, action=action, subject=subject, detail=detail)

    def close(self) -> None:
        """Let go of the stores that were opened."""
        for name in ("ledger", "traces", "feedback"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds a `kedge.toml`. `NotFound`."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file():
            return folder
    raise NotFound(
        f"no {FILE} here or above: {start.resolve()}",
        hint="kedge init makes a project for your own data; kedge demo makes one that runs in minutes",
    )


def open_project(
    path: str | Path = ".", *, sets: tuple[str, ...] = (), clock: Clock | None = None, principal: str = ""
) -> Project:
    """Open the project at or above `path`. `sets` are `room.key=value` overrides. `NotFound`; `Invalid`."""
    root = find_root(Path(path))
    return Project(root, load_config(root / FILE, sets=sets), clock=clock, principal=principal)


def private_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of a file with mode 0600, made by `make()` if it is not there; several processes agree on one."""
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, make())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(temporary, path)  # fails if another process was first: its bytes are then the ones in force
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_bytes()
