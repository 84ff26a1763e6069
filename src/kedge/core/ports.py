"""The edges of the domain: what stores, engines and doors must provide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from kedge.core.bundle import Bundle
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood
from kedge.core.trace import Feedback, Trace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered(Generic[T]):
    """A record with its place in the order in which all were written."""

    number: int
    value: T


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobInfo:
    """A stored blob. `modified` is in seconds since the epoch."""

    digest: str
    size: int
    modified: float


class BlobStore(Protocol):
    """Immutable bytes by SHA-256 digest. A blob is either wholly there or not at all, also after a power cut."""

    def put(self, data: bytes) -> str:
        """Store and return the digest. Storing what is there already costs no write, but makes it new again."""
        ...

    def put_file(self, path: Path) -> str:
        """Store a file without holding it in memory, and return its digest."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes, verified. `NotFound`; `Broken` if they are not what the digest says."""
        ...

    def fetch(self, digest: str) -> Path:
        """A local file with the bytes, not to be written to. `NotFound`; `Broken`."""
        ...

    def delete(self, digest: str, *, before: float | None = None) -> bool:
        """Remove, with `before` only if it was last put earlier (seconds since the epoch); whether it was removed.
        Removing what is not there is not an error. Only garbage collection and erasure call this."""
        ...

    def list(self) -> Iterator[BlobInfo]:
        """Every blob, in no particular order; `modified` is when it was last put."""
        ...


class Engine(Protocol):
    """Turns prompts into text, several at once. Driven by one thread: submit, then step until finished."""

    def describe(self) -> EngineFacts:
        """What this engine is and can; the same each time."""
        ...

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request. A request that cannot be served ends with an `error` event of the next step."""
        ...

    def step(self) -> list[GenerationEvent]:
        """Do one unit of work and return what it yielded: nothing if there was nothing to do, or no text is whole yet."""
        ...

    def cancel(self, id: str) -> None:
        """Stop a request; its last event has finish `cancelled`. Unknown ids are ignored."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihood of each (input, completion), the input wrapped with the bundle's prompt template."""
        ...

    def close(self) -> None:
        """Free memory; the engine is not used afterwards."""
        ...


class SharedEngine(Engine, Protocol):
    """An engine that says `adapters`: it serves bundles whose models are adapters of one base beside the one it was
    opened with, in joint batches, and each answers as it would alone."""

    def add(self, name: str, bundle: Bundle, folder: Path) -> EngineFacts:
        """Take in a bundle, which has all but its adapter in common with the first; what the engine can for it.

        `Invalid` if its adapter does not fit; then nothing has changed. What is under way goes on.
        """
        ...

    def remove(self, name: str) -> None:
        """Let a bundle go ("" is the first); its requests end with finish `cancelled`. Unknown names are ignored."""
        ...


class Progress(Protocol):
    """Tells a person how far a verb is."""

    def start(self, total: int | None, label: str) -> None:
        """Begin a task of `total` units (None: unknown)."""
        ...

    def advance(self, n: int = 1) -> None:
        """`n` units more are done."""
        ...

    def note(self, **facts: Any) -> None:
        """Facts worth seeing beside the bar, as `loss=0.31`."""
        ...


class MetricLog(Protocol):
    """Takes the values a running step reports; `step` counts the step's own units of work."""

    def log(self, name: str, value: float, step: int = 0) -> None:
        """Record one value."""
        ...


class TraceSink(Protocol):
    """Takes traces from the gateway. Never blocks: what it cannot take in time is dropped and counted."""

    def add(self, trace: Trace) -> None:
        """Queue a trace for the next batch."""
        ...

    @property
    def dropped(self) -> int:
        """How many traces were dropped since the start."""
        ...

    def close(self) -> None:
        """Write what is queued and stop."""
        ...


class TraceReader(Protocol):
    """Finds traces again, and drops old ones."""

    def get(self, id: str) -> Trace:
        """The trace with this id. `NotFound`."""
        ...

    def search(self, *, endpoint: str = "", bundle: str = "", since: float = 0.0, limit: int = 100) -> list[Trace]:
        """Traces by endpoint, bundle and time (seconds since the epoch), newest first."""
        ...

    def after(self, number: int, *, endpoint: str, limit: int = 1000) -> list[Numbered[Trace]]:
        """An endpoint's traces written after a number, in that order: whoever reads on from the last misses nothing."""
        ...

    def last(self) -> int:
        """The number of the newest trace, 0 without one."""
        ...

    def count(self, *, bundle: str = "") -> int:
        """How many are kept, of all or of one bundle."""
        ...

    def purge(self, before: float) -> int:
        """Drop those older than `before` (seconds since the epoch), and feedback too; how many traces they were."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


class Feedbacks(Protocol):
    """What was said of the answers."""

    def add(self, said: Feedback) -> None:
        """Keep what was said: durable when this returns."""
        ...

    def of(self, trace: str) -> list[Feedback]:
        """What was said of one answer, oldest first."""
        ...

    def after(self, number: int, *, endpoint: str, limit: int = 1000) -> list[Numbered[Feedback]]:
        """What was said of an endpoint's answers after a number, in that order."""
        ...

    def last(self) -> int:
        """The number of the newest feedback, 0 without one."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


class Clock(Protocol):
    """The time, so that tests can hold it still."""

    def now(self) -> datetime:
        """The current time in UTC, with its time zone."""
        ...


class Silent:
    """A Progress that says nothing."""

    def start(self, total: int | None, label: str) -> None:
        """Ignored."""

    def advance(self, n: int = 1) -> None:
        """Ignored."""

    def note(self, **facts: Any) -> None:
        """Ignored."""
