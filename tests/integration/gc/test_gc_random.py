"""Ten thousand random operations over a real ledger and blob store leave no dangling reference.

The test keeps its own idea of what refers to what, far simpler than the product's, and compares after each collection.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.app import gc, models
from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.errors import NotFound, Refused
from kedge.core.model import ModelVersion
from kedge.core.run import Run, RunStatus
from kedge.pipeline.processes import this_process

Yard = Any

OPERATIONS = 10_000
ALIASES = ("production", "staging", "candidate")


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: syncing ten thousand times takes minutes on a disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(dir=memory, prefix="kedge-gc-"))
    yield folder
    shutil.rmtree(folder)


class Sailor:
    """Does random things to a project, and remembers what should be there."""

    def __init__(self, yard: Yard, seed: int) -> None:
        self.yard = yard
        self.project = yard.project
        self.dice = random.Random(seed)
        self.artifacts: dict[str, Artifact] = {}
        self.made_from: dict[str, set[str]] = {}
        self.versions: dict[int, ModelVersion] = {}
        self.aliases: dict[str, list[int]] = {}
        self.follows = ""
        self.served: list[str] = []
        self.holds: set[str] = set()
        self.running: dict[str, tuple[Run, Artifact]] = {}
        self.done: dict[str, int] = {}
        self.count = 0

    def act(self) -> None:
        """One random operation."""
        weights: dict[Callable[[], None], int] = {
            self.make_dataset: 10,
            self.make_model: 10,
            self.make_bundle: 12,
            self.register: 10,
            self.promote: 10,
            self.roll_back: 6,
            self.delete_version: 8,
            self.delete_artifact: 3,
            self.hold: 8,
            self.release_hold: 8,
            self.start_run: 6,
            self.finish_run: 6,
            self.bind: 1,
            self.collect: 2,
        }
        operation = self.dice.choices(list(weights), list(weights.values()))[0]
        operation()
        self.done[operation.__name__] = self.done.get(operation.__name__, 0) + 1

    def name(self) -> str:
        self.count += 1
        return f"thing {self.count % 1500}"  # names come again, and with them digests

    def any_of(self, kind: ArtifactKind) -> Artifact | None:
        found = [artifact for artifact in self.artifacts.values() if artifact.kind is kind]
        return self.dice.choice(found) if found else None

    def keep(self, artifact: Artifact, *made_from: Artifact) -> Artifact:
        self.artifacts[artifact.digest] = artifact
        self.made_from.setdefault(artifact.digest, set()).update(parent.digest for parent in made_from)
        return artifact

    def make_dataset(self) -> None:
        dataset = self.yard.artifact(f"data {self.name()}", ArtifactKind.DATASET, shared=b"%d" % self.dice.randrange(9))
        self.yard.run("data", {}, {"dataset": self.keep(dataset)})

    def make_model(self) -> None:
        dataset = self.any_of(ArtifactKind.DATASET)
        if dataset is not None:
            model = self.yard.artifact(
                f"model {self.name()}", ArtifactKind.MODEL, shared=b"%d" % self.dice.randrange(9)
            )
            self.yard.run("train", {"dataset": dataset}, {"model": self.keep(model, dataset)})

    def make_bundle(self) -> None:
        model = self.any_of(ArtifactKind.MODEL)
        if model is not None:
            bundle = self.keep(self.yard.bundle(model, prompt=f"{self.dice.randrange(3)} {{input}}"), model)
            if self.dice.random() < 0.5:
                self.yard.run("bundle", {"model": model}, {"bundle": bundle})

    def register(self) -> None:
        bundle = self.any_of(ArtifactKind.BUNDLE)
        if bundle is not None:
            if not self.made_from[bundle.digest] <= set(self.artifacts):  # its model was deleted
                with pytest.raises(NotFound):
                    models.register(self.project, "schemas", bundle.digest)
                return
            version = models.register(self.project, "schemas", bundle.digest)
            self.versions[version.version] = version
            self.moved("candidate", version.version)

    def promote(self) -> None:
        if self.versions:
            number, alias = self.dice.choice(list(self.versions)), self.dice.choice(ALIASES)
            models.promote(self.project, f"schemas@{number}", alias)
            self.moved(alias, number)

    def roll_back(self) -> None:
        alias = self.dice.choice(ALIASES)
        try:
            back = models.rollback(self.project, f"schemas@{alias}")
        except (Refused, NotFound):
            return
        self.moved(alias, back.after)

    def moved(self, alias: str, number: int) -> None:
        line = self.aliases.setdefault(alias, [])
        if not line or line[-1] != number:
            line.append(number)
            if alias == self.follows:
                self.serve(self.versions[number].bundle)

    def serve(self, bundle: str) -> None:
        if not self.served or self.served[-1] != bundle:
            self.served.append(bundle)

    def bind(self) -> None:
        self.follows = self.dice.choice(ALIASES[:2])
        self.yard.serve(self.follows)

    def delete_version(self) -> None:
        if not self.versions:
            return
        number = self.dice.choice(list(self.versions))
        bundle = self.versions[number].bundle
        pointed = number in [line[-1] for line in self.aliases.values()]
        try:
            models.delete(self.project, f"schemas@{number}")
        except Refused:
            assert pointed or bundle in self.served[-1:]
        else:
            assert not pointed
            del self.versions[number]

    def delete_artifact(self) -> None:
        if not self.artifacts:
            return
        digest = self.dice.choice(list(self.artifacts))
        if digest in self.reached():
            with pytest.raises(Refused):
                gc.delete(self.project, digest)
        else:
            gc.delete(self.project, digest)
            self.forget({digest})

    def hold(self) -> None:
        if self.artifacts:
            digest = self.dice.choice(list(self.artifacts))
            gc.hold(self.project, digest, "evidence")
            self.holds.add(digest)

    def release_hold(self) -> None:
        if self.holds:
            digest = self.dice.choice(sorted(self.holds))
            gc.release(self.project, digest)
            self.holds.remove(digest)

    def start_run(self) -> None:
        dataset = self.any_of(ArtifactKind.DATASET)
        if dataset is not None and len(self.running) < 3:
            run = self.yard.run("train", {"dataset": dataset}, worker=this_process())
            self.running[run.id] = (run, dataset)

    def finish_run(self) -> None:
        if self.running:
            run, dataset = self.running.pop(self.dice.choice(list(self.running)))
            if self.dice.random() < 0.2:
                self.finish(run, RunStatus.FAILED)
            else:
                model = self.yard.artifact(f"model {self.name()}", ArtifactKind.MODEL)
                self.finish(run, RunStatus.SUCCEEDED, model=self.keep(model, dataset))

    def finish(self, run: Run, status: RunStatus, **outputs: Artifact) -> None:
        digests = {port: artifact.digest for port, artifact in outputs.items()}
        self.project.ledger.runs.finish(run.id, status, ended=self.project.clock.now(), outputs=digests)

    def collect(self) -> None:
        if self.dice.random() < 0.5:  # enough that everything can go: no run is left, and no time is waited
            for run, _ in self.running.values():
                self.finish(run, RunStatus.FAILED)
            self.running.clear()
            time.sleep(0.01)  # the file system's clock is a little coarse
            gc.collect(self.project, grace=0)
            self.forget(set(self.artifacts) - self.reached())
            assert self.yard.orphans() == set()
        else:
            gc.collect(self.project)
            self.forget(set(self.artifacts) - self.reached())
        assert self.yard.recorded() == set(self.artifacts)
        assert self.yard.dangling() == []

    def forget(self, digests: set[str]) -> None:
        for digest in digests:
            del self.artifacts[digest]

    def reached(self) -> set[str]:
        """What must be kept: a walk over what the test itself has done."""
        waiting = {part for version in self.versions.values() for part in (version.bundle, version.model)}
        waiting |= set(self.served[-2:]) | self.holds | {dataset.digest for _, dataset in self.running.values()}
        found: set[str] = set()
        while waiting:
            digest = waiting.pop()
            found.add(digest)
            waiting |= self.made_from.get(digest, set()) - found
        return found


@pytest.mark.slow
def test_ten_thousand_random_operations_leave_no_dangling_reference(yard_in: Any, fast_folder: Path) -> None:
    sailor = Sailor(yard_in(fast_folder), seed=7)
    for _ in range(OPERATIONS):
        sailor.act()
    sailor.collect()
    assert sum(sailor.done.values()) == OPERATIONS
    assert min(sailor.done.values()) >= OPERATIONS / 200, "every operation had its share"
