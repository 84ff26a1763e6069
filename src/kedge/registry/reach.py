"""What may not be taken away: everything that what is in force, running or held can be traced back to, with the reason.

Pure functions over core types; the application gathers the facts and hands them in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kedge.core.hashing import DIGEST
from kedge.core.model import AliasMove, ModelVersion, RecordedVerdict
from kedge.core.release import Release
from kedge.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is in force, running or held: where reach begins.

    `releases` is the whole history of every endpoint, oldest first. `running` are the runs that live and the others of
    their pipelines, `newest` the newest succeeded run of each stage, `planned` the runs that the next `kedge run` would
    take as they are.
    """

    versions: Sequence[ModelVersion] = ()
    aliases: Sequence[AliasMove] = ()
    releases: Sequence[Release] = ()
    holds: Mapping[str, str] = field(default_factory=dict)
    running: Sequence[Run] = ()
    newest: Sequence[Run] = ()
    planned: Sequence[Run] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """How to follow what one artifact was made from; each function gives nothing for what it does not know.

    `producing` gives the succeeded runs that made an artifact, `about` the verdicts on a bundle, `run` a run by id,
    `model` the model artifact that a bundle names.
    """

    producing: Callable[[str], Sequence[Run]]
    about: Callable[[str], Sequence[RecordedVerdict]]
    run: Callable[[str], Run | None]
    model: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an artifact is kept: what protects it, and how it is connected ("" when it is named itself)."""

    root: str
    link: str = ""

    def __str__(self) -> str:
        return f"{self.link}, behind {self.root}" if self.link else self.root


def reach(standing: Standing, lineage: Lineage) -> dict[str, Reason]:
    """Every artifact digest that is reached, with the first reason found; those in force come before the others."""
    reached: dict[str, Reason] = {}
    for digest, reason in _roots(standing, lineage):
        waiting = deque([(digest, reason)])
        while waiting:
            here, why = waiting.popleft()
            if here and here not in reached:
                reached[here] = why
                waiting.extend((next_, Reason(root=why.root, link=link)) for next_, link in _behind(here, lineage))
    return reached


def _roots(standing: Standing, lineage: Lineage) -> Iterator[tuple[str, Reason]]:
    """What is protected by name, the strongest first."""
    versions = {(version.name, version.version): version for version in standing.versions}
    for alias in standing.aliases:
        version = versions.get((alias.model, alias.after))
        if version is not None:
            yield from _named(version, f"{alias.model}@{alias.alias} ({version.address})", lineage)
    yield from _released(standing.releases)
    yield from ((digest, Reason(root=f"held: {reason}")) for digest, reason in standing.holds.items())
    for version in standing.versions:
        yield from _named(version, version.address, lineage)
    for runs, what in (
        (standing.running, "a pipeline that is running"),
        (standing.newest, "the newest result of its stage"),
        (standing.planned, "the next kedge run"),
    ):
        for run in runs:
            yield from ((digest, Reason(root=what, link=link)) for digest, link in _ends(run))
    for run in standing.running:
        yield from ((digest, Reason(root="a pipeline that is running")) for digest in _mentioned(run.spec.args))


def _mentioned(value: object) -> Iterator[str]:
    """The digests in the options of a step."""
    if isinstance(value, str):
        if DIGEST.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _mentioned(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _mentioned(inner)


def _named(version: ModelVersion, root: str, lineage: Lineage) -> Iterator[tuple[str, Reason]]:
    """The parts of a version, and what its registration read and wrote: card, verdict, evaluation."""
    yield from ((part, Reason(root=root)) for part in (version.bundle, version.model, version.card))
    run = lineage.run(version.run) if version.run else None
    if run is not None:
        yield from ((digest, Reason(root=root, link=link)) for digest, link in _ends(run))


def _released(history: Sequence[Release]) -> Iterator[tuple[str, Reason]]:
    """The bundle in force for each role of each endpoint, and the one before it, to which a rollback returns."""
    lines: dict[tuple[str, str], list[Release]] = {}
    for release in history:
        line = lines.setdefault((release.endpoint, release.role), [])
        if not line or line[-1].bundle != release.bundle:
            line.append(release)
    for (endpoint, role), line in lines.items():
        yield line[-1].bundle, Reason(root=f"endpoint {endpoint} ({role})")
        if len(line) > 1:
            yield line[-2].bundle, Reason(root=f"endpoint {endpoint} (before its {role} release)")


def _behind(digest: str, lineage: Lineage) -> Iterator[tuple[str, str]]:
    """What an artifact was made from, and the evidence for it."""
    for run in lineage.producing(digest):
        yield from ((made, _port(port, run)) for port, made in run.inputs.items())
    yield lineage.model(digest), "the model in a bundle"
    for verdict in lineage.about(digest):
        yield verdict.evaluation, "the evaluation of a verdict"
        yield verdict.dataset, "the dataset of a verdict"
        judged = lineage.run(verdict.run) if verdict.run else None
        if judged is not None:
            yield from _ends(judged)


def _ends(run: Run) -> Iterator[tuple[str, str]]:
    """The outputs and inputs of a run."""
    for ends in (run.outputs, run.inputs):
        yield from ((digest, _port(port, run)) for port, digest in ends.items())


def _port(port: str, run: Run) -> str:
    return f"{port} of run {run.id[:8]} ({run.stage})"
