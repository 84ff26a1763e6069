"""Makes an earlier version of a dataset the newest again, on record like everything else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from kedge.app.data import DatasetVersion, listing, resolve
from kedge.app.project import Project
from kedge.core.artifact import ArtifactKind
from kedge.core.errors import NotFound
from kedge.core.hashing import digest_of
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec
from kedge.data.restore import restore as restore_version
from kedge.pipeline.lock import hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The version that is the newest now, and the one whose content it has. `made` is false if it was so before."""

    dataset: str
    version: str
    restored: str
    rows: int
    made: bool
    run: str = ""


def restore(project: Project, dataset: str) -> Restored:
    """Make a version the newest again, as a new version with its content: nothing is taken back, no row is written.

    The artifact, its run and the audit record are one transaction. Nothing happens if the newest version has this content
    already. `NotFound`; `Conflict` while another process makes versions here.
    """
    with hold(project.state / "run.lock", now=project.clock.now()):
        wanted = resolve(project, dataset)
        newest = _newest(project, wanted.name)
        if wanted.digest in (newest.digest, newest.restored):
            return Restored(
                dataset=newest.digest, version=newest.address, restored=wanted.address, rows=newest.rows, made=False
            )
        made = restore_version(project.blobs, wanted.digest, newest.digest)
        run = _run(project, wanted, newest)
        detail = {"dataset": made.artifact.digest, "restored": wanted.digest, "parent": newest.digest, "run": run.id}
        with project.recorded("dataset.restore", wanted.name, **detail) as tx:
            tx.artifacts.add(made.artifact, at=run.started)
            tx.runs.start(run)
            tx.runs.finish(run.id, RunStatus.SUCCEEDED, ended=run.started, outputs={"dataset": made.artifact.digest})
    version = _newest(project, wanted.name)
    return Restored(
        dataset=version.digest,
        version=version.address,
        restored=wanted.address,
        rows=version.rows,
        made=True,
        run=run.id,
    )


def _run(project: Project, wanted: DatasetVersion, newest: DatasetVersion) -> Run:
    spec = Spec(name="restore", args={"dataset": wanted.digest, "parent": newest.digest})
    return Run(
        id=secrets.token_hex(8),
        stage=f"restore-{wanted.name.replace('.', '-')}"[:64],
        spec=spec,
        key=digest_of([str(ArtifactKind.DATASET), spec.name, spec.args]),
        status=RunStatus.RUNNING,
        started=project.clock.now(),
        inputs={"dataset": wanted.digest, "parent": newest.digest},
    )


def _newest(project: Project, name: str) -> DatasetVersion:
    versions = [version for version in listing(project) if version.name == name]
    if not versions:
        raise NotFound(f"no dataset is called {name}", address=name)
    return versions[-1]
