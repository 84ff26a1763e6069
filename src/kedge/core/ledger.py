"""What the ledger keeps, one protocol an aggregate. `store.ledger` implements them on SQLite and PostgreSQL.

Every method is atomic by itself; inside `Ledger.begin()` several are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from kedge.core.access import Key
from kedge.core.artifact import Artifact
from kedge.core.audit import AuditRecord
from kedge.core.evaluation import Gate
from kedge.core.model import AliasMove, Approval, ModelVersion, RecordedVerdict
from kedge.core.release import Endpoint, Heartbeat, Release, Role
from kedge.core.review import ReviewCase, ReviewLabel
from kedge.core.rollout import Rollout, RolloutEvent
from kedge.core.run import Point, Run, RunStatus
from kedge.core.usage import Granted, Holding, Used, Want


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """A search over runs. `where` is a filter such as `metrics.loss < 0.3 and params.lr >= 0.001 and stage = 'train'`.

    `order` is a field, metric or parameter, descending with a leading `-`, as `-started` or `metrics.loss`.
    """

    where: str = ""
    order: str = "-started"
    limit: int = 100
    offset: int = 0


class Runs(Protocol):
    """Runs, their inputs and outputs."""

    def start(self, run: Run) -> None:
        """Record a run that begins. `Conflict` if its id is taken."""
        ...

    def add_params(self, id: str, params: Mapping[str, Any]) -> None:
        """Add arguments to the spec of a running run. `NotFound`; `Conflict` if it has ended, or has one of them with
        another value."""
        ...

    def finish(
        self, id: str, status: RunStatus, *, ended: datetime, outputs: Mapping[str, str] | None = None, error: str = ""
    ) -> None:
        """Record how it ended. `NotFound`; `Conflict` if it has ended already."""
        ...

    def get(self, id: str) -> Run:
        """One run by id or by a unique prefix of at least 4 characters. `NotFound`; `Invalid` if ambiguous."""
        ...

    def succeeded(self, key: str) -> Run | None:
        """The newest succeeded run with this key."""
        ...

    def producing(self, artifact: str) -> list[Run]:
        """The succeeded runs that have this artifact as an output, oldest first."""
        ...

    def using(self, artifact: str) -> list[Run]:
        """The runs that have this artifact as an input, oldest first."""
        ...

    def search(self, query: RunQuery) -> list[Run]:
        """Runs by filter and order. `Invalid` names the part of the filter that cannot be read."""
        ...


class Metrics(Protocol):
    """Values over the steps of runs."""

    def append(self, points: Sequence[Point]) -> None:
        """Record a batch: durable when this returns, and the runs' last values with it."""
        ...

    def history(self, run: str, name: str) -> list[Point]:
        """All values of one metric, by step."""
        ...

    def names(self, run: str) -> list[str]:
        """The metrics a run has."""
        ...


class Artifacts(Protocol):
    """Which artifacts exist, and what holds them."""

    def add(self, artifact: Artifact, *, at: datetime) -> None:
        """Record an artifact whose blobs are stored; doing it again changes nothing."""
        ...

    def get(self, digest: str) -> Artifact:
        """One artifact by digest, or by a unique prefix of at least 6 hexadecimal digits. `NotFound`; `Invalid`."""
        ...

    def all(self) -> list[Artifact]:
        """Every artifact, oldest first."""
        ...

    def remove(self, digests: Iterable[str]) -> None:
        """Forget artifacts whose blobs are about to be deleted."""
        ...

    def hold(self, digest: str, reason: str) -> None:
        """Protect an artifact from deletion until released. `NotFound`."""
        ...

    def release(self, digest: str) -> None:
        """End a hold. `NotFound` if there is none."""
        ...

    def holds(self) -> Mapping[str, str]:
        """Every held digest with its reason."""
        ...


class Models(Protocol):
    """Versions, aliases and their history."""

    def register(self, version: ModelVersion) -> ModelVersion:
        """Add the next version of a model (`version.version` is ignored). The same bundle again returns the version
        it has."""
        ...

    def versions(self, name: str = "") -> list[ModelVersion]:
        """All versions of a model (or of all), oldest first."""
        ...

    def version(self, name: str, version: int) -> ModelVersion:
        """`NotFound` lists the versions there are."""
        ...

    def remove(self, name: str, version: int) -> None:
        """Delete a version. `NotFound`; `Refused` while an alias points at it or an endpoint serves it. Its number is
        never used again."""
        ...

    def move(self, move: AliasMove) -> None:
        """Point an alias at `move.after` and append to its history. `NotFound` if there is no such version; `Conflict`
        if the alias is not at `move.before`."""
        ...

    def aliases(self, name: str = "") -> list[AliasMove]:
        """The newest move of each alias of a model (or of all)."""
        ...

    def history(self, name: str, alias: str) -> list[AliasMove]:
        """All moves of an alias, oldest first."""
        ...


class Verdicts(Protocol):
    """Gates set ahead, and what they said."""

    def set_gate(self, gate: Gate, *, at: datetime) -> None:
        """Store the rules; storing them again keeps the first time."""
        ...

    def gate(self, digest: str) -> tuple[Gate, datetime]:
        """The rules and when they were first stored. `NotFound`."""
        ...

    def add(self, verdict: RecordedVerdict) -> None:
        """Record a verdict. The same verdict again changes nothing."""
        ...

    def about(self, bundle: str) -> list[RecordedVerdict]:
        """Every verdict on a bundle, oldest first."""
        ...

    def get(self, id: str) -> RecordedVerdict:
        """`NotFound`."""
        ...


class Approvals(Protocol):
    """Who approved which version."""

    def add(self, approval: Approval) -> None:
        """Record an approval. The same person's of the same version again changes nothing."""
        ...

    def of(self, model: str, version: int) -> list[Approval]:
        """Every approval of a version, oldest first."""
        ...


class Releases(Protocol):
    """Endpoints and what was sent to them."""

    def bind(self, endpoint: Endpoint) -> None:
        """Create an endpoint or change what it follows."""
        ...

    def endpoints(self) -> list[Endpoint]:
        """All endpoints by name."""
        ...

    def send(self, release: Release) -> Release:
        """Append a release (`release.id` is ignored). `NotFound` if there is no such endpoint."""
        ...

    def current(self, endpoint: str) -> Mapping[Role, Release]:
        """The release in force of each role."""
        ...

    def history(self, endpoint: str) -> list[Release]:
        """All releases of an endpoint, oldest first."""
        ...

    def beat(self, heartbeat: Heartbeat) -> None:
        """Record what a gateway process says of itself, replacing what it said before."""
        ...

    def heartbeats(self) -> list[Heartbeat]:
        """The last word of every gateway process."""
        ...


class Rollouts(Protocol):
    """Bundles on their way to endpoints, step by step."""

    def start(self, rollout: Rollout, event: RolloutEvent) -> None:
        """Record a rollout that begins. `Conflict` if one of the endpoint is under way."""
        ...

    def change(self, before: Rollout, after: Rollout, event: RolloutEvent | None = None) -> None:
        """Replace a rollout by what it is now, and append what happened. `Conflict` if it is not what it was."""
        ...

    def get(self, id: str) -> Rollout:
        """`NotFound`."""
        ...

    def active(self, endpoint: str) -> Rollout | None:
        """The rollout of an endpoint that is under way."""
        ...

    def history(self, endpoint: str = "") -> list[Rollout]:
        """Every rollout of an endpoint (or of all), oldest first."""
        ...

    def events(self, id: str) -> list[RolloutEvent]:
        """What happened to a rollout, oldest first."""
        ...

    def lease(self, name: str, holder: str, *, at: datetime, until: datetime) -> bool:
        """Whether `holder` has the lease from now on: it had it, nobody had it, or its time was over."""
        ...


class Keys(Protocol):
    """API keys."""

    def add(self, key: Key) -> None:
        """Record a key. `Conflict` if its id is taken."""
        ...

    def all(self) -> list[Key]:
        """Every key, oldest first."""
        ...

    def find(self, hash: str) -> Key | None:
        """The key with this keyed hash."""
        ...

    def revoke(self, id: str, *, at: datetime) -> Key:
        """End a key. `NotFound`."""
        ...

    def expire(self, id: str, *, at: datetime) -> Key:
        """Have a key end at a time, or when it would have ended if that is before. `NotFound`."""
        ...


class Reviews(Protocol):
    """Cases that wait for a person, and the labels they got."""

    def add(self, cases: Sequence[ReviewCase]) -> int:
        """Put cases into their queues; how many were not there yet."""
        ...

    def cases(self, queue: str = "") -> list[ReviewCase]:
        """The cases of a queue (or of all), in the order in which they were added."""
        ...

    def label(self, label: ReviewLabel) -> None:
        """Append a label. `NotFound` if there is no such case."""
        ...

    def labels(self, queue: str = "") -> list[ReviewLabel]:
        """The labels in force: each person's newest on each case, in the order given."""
        ...


class Usage(Protocol):
    """What is used of accounts, counted over all processes."""

    def reserve(self, wants: Sequence[Want]) -> list[Granted]:
        """Take units of several accounts, in one transaction: all of them, or nothing when one has not the least left.

        Then the grants that fall short have no units and say what is left."""
        ...

    def give_back(self, account: str, window: str, units: int) -> None:
        """Return units that were reserved and not used."""
        ...

    def used(self, account: str = "") -> list[Used]:
        """What was taken of an account (or of all), by account and window."""
        ...

    def hold(self, holding: Holding, *, at: datetime) -> bool:
        """Hold so many places from now on; whether they were free. If not, what was held stays. 0 lets go."""
        ...


class Audit(Protocol):
    """The hash chain."""

    def append(self, *, at: datetime, by: str, action: str, subject: str, detail: Mapping[str, Any]) -> AuditRecord:
        """Add a record, in the surrounding transaction."""
        ...

    def records(self, *, after: int = 0, limit: int = 1000) -> list[AuditRecord]:
        """Records with a greater `seq`, in order."""
        ...


class Ledger(Protocol):
    """All aggregates over one database."""

    @property
    def runs(self) -> Runs:
        """Executions of steps."""
        ...

    @property
    def metrics(self) -> Metrics:
        """Values over the steps of runs."""
        ...

    @property
    def artifacts(self) -> Artifacts:
        """What exists, by digest."""
        ...

    @property
    def models(self) -> Models:
        """Versions and aliases."""
        ...

    @property
    def verdicts(self) -> Verdicts:
        """Gates and their signed outcomes."""
        ...

    @property
    def approvals(self) -> Approvals:
        """Who approved which version."""
        ...

    @property
    def releases(self) -> Releases:
        """Endpoints and what is sent to them."""
        ...

    @property
    def rollouts(self) -> Rollouts:
        """Releases that grow step by step."""
        ...

    @property
    def keys(self) -> Keys:
        """API keys, by keyed hash."""
        ...

    @property
    def reviews(self) -> Reviews:
        """Cases that people look at, and their labels."""
        ...

    @property
    def usage(self) -> Usage:
        """What keys and tenants have used."""
        ...

    @property
    def audit(self) -> Audit:
        """The hash-chained record."""
        ...

    def begin(self) -> AbstractContextManager[Ledger]:
        """One transaction: what the yielded ledger does happens wholly or not at all. Writers wait for each other."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
