"""What a row touched: the datasets it is in, the runs and models that learned from it, and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from kedge.app.data import RowView, show_row
from kedge.app.project import Project
from kedge.core.artifact import ArtifactKind
from kedge.core.dataset import Split
from kedge.core.errors import NotFound
from kedge.core.run import Run, RunStatus
from kedge.data.locate import find_row
from kedge.data.read import read_dataset

LEARNERS = (ArtifactKind.MODEL, ArtifactKind.ADAPTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetTouched:
    """A dataset version with the row, and the split it is in there."""

    digest: str
    name: str
    split: Split


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTouched:
    """A run that read the row. `learned`: a model came out of it, and the row was there to train on."""

    id: str
    stage: str
    step: str
    started: datetime
    learned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleTouched:
    """A bundle whose model learned from the row: what it is registered as, and how many of its answers are kept."""

    digest: str
    model: str
    versions: tuple[str, ...]
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Everything a row touched. `answers` counts the kept answers of all bundles."""

    row: RowView
    datasets: tuple[DatasetTouched, ...]
    runs: tuple[RunTouched, ...]
    models: tuple[str, ...]
    bundles: tuple[BundleTouched, ...]
    answers: int

    @property
    def versions(self) -> tuple[str, ...]:
        """The addresses of all versions that learned from the row."""
        return tuple(address for bundle in self.bundles for address in bundle.versions)


def touched(project: Project, row: str) -> Touched:
    """What a row touched, by its id or the first digits of it. `NotFound`; `Invalid` if they are ambiguous."""
    view = show_row(project, row)
    datasets = () if view.row is None else tuple(_datasets(project, view))
    runs: dict[str, tuple[Run, bool]] = {}
    models: list[str] = []
    for dataset in datasets:
        for run in _succeeded(project.ledger.runs.using(dataset.digest)):
            made = [digest for digest in run.outputs.values() if kind_of(project, digest) in LEARNERS]
            learned = bool(made) and dataset.split is Split.TRAIN
            runs[run.id] = (run, learned or runs.get(run.id, (run, False))[1])
            models += made if learned else ()
    models, digests = _descendants(project, models)
    bundles = tuple(_bundle(project, digest, model) for digest, model in digests.items())
    return Touched(
        row=view,
        datasets=datasets,
        runs=tuple(_told(run, learned) for run, learned in runs.values()),
        models=tuple(models),
        bundles=bundles,
        answers=sum(bundle.answers for bundle in bundles),
    )


def _datasets(project: Project, view: RowView) -> Iterator[DatasetTouched]:
    for digest in reversed(view.datasets):
        split = find_row(project.blobs, digest, view.id).split
        yield DatasetTouched(digest=digest, name=read_dataset(project.blobs, digest).name, split=split)


def _descendants(project: Project, models: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The models and every one made from them, and the bundles made of these, each with its model."""
    found, bundles = list(dict.fromkeys(models)), {}
    for model in found:  # grows while it is walked
        for run in _succeeded(project.ledger.runs.using(model)):
            for digest in run.outputs.values():
                kind = kind_of(project, digest)
                if kind in LEARNERS and digest not in found:
                    found.append(digest)
                elif kind is ArtifactKind.BUNDLE:
                    bundles[digest] = model
    registered = {version.bundle: version.model for version in project.ledger.models.versions()}
    return found, bundles | {bundle: model for bundle, model in registered.items() if model in found}


def _bundle(project: Project, digest: str, model: str) -> BundleTouched:
    versions = [version.address for version in project.ledger.models.versions() if version.bundle == digest]
    answers = project.traces.count(bundle=digest)
    return BundleTouched(digest=digest, model=model, versions=tuple(versions), answers=answers)


def _succeeded(runs: Sequence[Run]) -> Iterator[Run]:
    return (run for run in runs if run.status is RunStatus.SUCCEEDED)


def kind_of(project: Project, digest: str) -> ArtifactKind | None:
    """What an artifact is, or None if it is deleted."""
    try:
        return project.ledger.artifacts.get(digest).kind
    except NotFound:
        return None


def _told(run: Run, learned: bool) -> RunTouched:
    return RunTouched(id=run.id, stage=run.stage, step=run.spec.name, started=run.started, learned=learned)
