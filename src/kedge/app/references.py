"""What refers to each artifact of a project: the facts of its ledger, walked by `registry.reach`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from kedge.app.project import Project
from kedge.app.runs import explain
from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.ledger import Ledger, RunQuery
from kedge.core.model import RecordedVerdict
from kedge.core.run import Run
from kedge.pipeline.processes import is_alive
from kedge.pipeline.types import Plan
from kedge.registry.bundle import read_bundle
from kedge.registry.reach import Lineage, Reason, Standing, reach

MANY = 1_000_000


def references(project: Project, tx: Ledger, upcoming: Plan | None) -> dict[str, Reason]:
    """Every digest that something refers to, with the reason, as the ledger stands in this transaction."""
    return reach(_standing(project, tx, upcoming), _lineage(project, tx))


def plan_ahead(project: Project) -> Plan | None:
    """What `kedge run` would do now; None when the stages cannot be planned, as without their source folder."""
    if not project.config.stages:
        return Plan(steps=())
    try:
        return explain(project)
    except (Invalid, NotFound):
        return None


def alive(tx: Ledger) -> list[Run]:
    """The runs whose process lives, as far as we can tell."""
    running = tx.runs.search(RunQuery(where="status = 'running'", limit=MANY))
    return [run for run in running if run.worker is None or is_alive(run.worker)]


def _standing(project: Project, tx: Ledger, upcoming: Plan | None) -> Standing:
    releases = [release for endpoint in tx.releases.endpoints() for release in tx.releases.history(endpoint.name)]
    steps = upcoming.steps if upcoming else ()
    return Standing(
        versions=tx.models.versions(),
        aliases=tx.models.aliases(),
        releases=releases,
        holds=tx.artifacts.holds(),
        running=_with_their_pipelines(tx, alive(tx)),
        newest=_newest(tx, project.config.stages),
        planned=[step.known for step in steps if step.known],
    )


def _with_their_pipelines(tx: Ledger, runs: Iterable[Run]) -> list[Run]:
    found = {run.id: run for run in runs}
    for pipeline in {run.pipeline for run in found.values() if run.pipeline}:
        found |= {run.id: run for run in tx.runs.search(RunQuery(where=f"pipeline = '{pipeline}'", limit=MANY))}
    return list(found.values())


def _newest(tx: Ledger, stages: Iterable[str]) -> list[Run]:
    query = "stage = '{}' and status = 'succeeded'"
    return [run for stage in stages for run in tx.runs.search(RunQuery(where=query.format(stage), limit=1))]


def _lineage(project: Project, tx: Ledger) -> Lineage:
    bundles = {artifact.digest for artifact in tx.artifacts.all() if artifact.kind is ArtifactKind.BUNDLE}

    @cache
    def run(id: str) -> Run | None:
        try:
            return tx.runs.get(id)
        except NotFound:
            return None

    def model(digest: str) -> str:
        if digest not in bundles:
            return ""
        try:
            return read_bundle(project.blobs, digest).model
        except (NotFound, Broken):  # a damaged bundle names nothing; what made it is still on record
            return ""

    def about(digest: str) -> list[RecordedVerdict]:
        return tx.verdicts.about(digest) if digest in bundles else []

    return Lineage(producing=tx.runs.producing, about=about, run=run, model=model)
