"""Which artifacts exist, and what holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.errors import Invalid, NotFound, Refused
from kedge.core.run import RunStatus
from kedge.store.ledger.connection import Database, insert_new, put
from kedge.store.ledger.releases import in_force
from kedge.store.ledger.tables import artifacts, begins, holds, model_versions, releases, run_artifacts, runs

_PREFIX: Final = re.compile(r"(?:sha256:)?(?P<hex>[0-9a-f]{6,64})")
_CHUNK: Final = 500


class SqlArtifacts:
    """Artifacts by digest. What is referred to cannot be removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, artifact: Artifact, *, at: datetime) -> None:
        """Record an artifact whose blobs are stored; doing it again changes nothing."""
        row = {"digest": artifact.digest, "kind": artifact.kind, "size": artifact.size, "added": at}
        with self._database.write() as connection:
            insert_new(connection, artifacts, row)

    def get(self, digest: str) -> Artifact:
        """One artifact by digest, or by a unique prefix of at least 6 hexadecimal digits. `NotFound`; `Invalid`."""
        match = _PREFIX.fullmatch(digest)
        if match is None:
            raise Invalid(f"not a digest: {digest[:80]!r}", hint="write at least 6 hexadecimal digits of it")
        wanted = begins(artifacts.c.digest, "sha256:" + match["hex"])
        with self._database.read() as connection:
            found = connection.execute(select(artifacts).where(wanted).limit(6)).all()
        if not found:
            raise NotFound(f"there is no artifact {digest}", address=digest, hint="kedge gc may have removed it")
        if len(found) > 1:
            names = ", ".join(row.digest for row in found[:5])
            raise Invalid(f"{digest} begins several digests", address=digest, hint=f"write more of it: {names}")
        return _from_row(found[0])

    def all(self) -> list[Artifact]:
        """Every artifact, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(artifacts).order_by(artifacts.c.added, artifacts.c.digest))
            return [_from_row(row) for row in rows]

    def remove(self, digests: Iterable[str]) -> None:
        """Forget artifacts whose blobs are about to be deleted. `Refused`, and nothing is removed, if one is held, is part
        of a registered version, is served, or is an input of a running run."""
        wanted = sorted(set(digests))
        with self._database.write(alone=True) as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for digest, reason in _references(connection, chunk):
                    hint = "kedge gc --dry-run shows what holds each artifact"
                    raise Refused(f"{digest} cannot be removed: {reason}", address=digest, hint=hint)
                connection.execute(delete(artifacts).where(artifacts.c.digest.in_(chunk)))

    def hold(self, digest: str, reason: str) -> None:
        """Protect an artifact from deletion until released; a second hold replaces the reason. `NotFound`."""
        with self._database.write(alone=True) as connection:
            require_artifact(connection, digest)
            put(connection, holds, {"digest": digest, "reason": reason})

    def release(self, digest: str) -> None:
        """End a hold. `NotFound` if there is none."""
        with self._database.write() as connection:
            if connection.execute(delete(holds).where(holds.c.digest == digest)).rowcount == 0:
                raise NotFound(
                    f"there is no hold on {digest}", address=digest, hint="kedge gc --dry-run lists the holds"
                )

    def holds(self) -> Mapping[str, str]:
        """Every held digest with its reason."""
        with self._database.read() as connection:
            rows = connection.execute(select(holds).order_by(holds.c.digest))
            return {row.digest: row.reason for row in rows}


def require_artifact(connection: Connection, digest: str) -> None:
    """`NotFound` unless the artifact is recorded."""
    if connection.execute(select(artifacts.c.digest).where(artifacts.c.digest == digest)).first() is None:
        raise NotFound(f"there is no artifact {digest}", address=digest, hint="record it before referring to it")


def _references(connection: Connection, digests: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each of the artifacts that something refers to, with what it is."""
    for digest, reason in connection.execute(select(holds).where(holds.c.digest.in_(digests))):
        yield digest, f"it is held: {reason}"
    for part in (model_versions.c.bundle, model_versions.c.model, model_versions.c.card):
        versions = select(part, model_versions.c.name, model_versions.c.version).where(part.in_(digests))
        for digest, name, version in connection.execute(versions):
            yield digest, f"it is the {part.name} of {name}@{version}"
    for release in connection.execute(in_force().where(releases.c.bundle.in_(digests))):
        yield release.bundle, f"endpoint {release.endpoint} serves it"
    inputs = select(run_artifacts.c.artifact, run_artifacts.c.run).join(runs, runs.c.id == run_artifacts.c.run)
    running = (run_artifacts.c.side == "input") & (runs.c.status == RunStatus.RUNNING)
    for digest, run in connection.execute(inputs.where(running, run_artifacts.c.artifact.in_(digests))):
        yield digest, f"run {run} is reading it"


def _from_row(row: Row[Any]) -> Artifact:
    return Artifact(digest=row.digest, kind=ArtifactKind(row.kind), size=row.size)
