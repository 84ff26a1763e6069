"""A project with an endpoint, versions that only differ in name, and answers put straight into its traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kedge.app import models
from kedge.app.bound import bind
from kedge.app.project import Project, open_project
from kedge.app.watch import LEASE, Look, Watch
from kedge.core.artifact import ArtifactKind
from kedge.core.bundle import Bundle
from kedge.core.manifest import write_artifact
from kedge.core.model import ModelVersion
from kedge.core.release import Role
from kedge.core.rollout import RolloutState
from kedge.core.spec import Spec
from kedge.core.trace import Feedback, Trace
from kedge.registry.bundle import write_bundle
from kedge.store.traces.open import open_sink
from kedge.testing.clock import FixedClock

FILE = """
[project]
name = "words"

[models]
protected = []

[endpoints.words]
model = "words"
port = 0

[endpoints.words.rollout]
steps = [
    { role = "shadow", hold = "10m", min_answers = 20 },
    { share = 0.1, hold = "10m", min_answers = 20 },
    { share = 0.5, hold = "10m" },
]
quality = ["valid_json"]
latency = 0
"""


START = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Answers of one version in one role; `changes` are other fields of their traces."""

    version: ModelVersion
    role: str
    texts: list[str]
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Stage:
    """A project and the ways to make things happen in it."""

    part: ClassVar[type[Part]] = Part
    project: Project
    clock: FixedClock
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def register(self, name: str, **flags: object) -> ModelVersion:
        """An echo as the next version of `words`."""
        project = self.project
        model = write_artifact(project.blobs, ArtifactKind.MODEL, {}, {"name.txt": name.encode()})
        engine = Spec(name="echo", args=flags)
        artifact = write_bundle(project.blobs, Bundle(model=model.digest, prompt="say {input}", engine=engine))
        for each in (model, artifact):
            project.ledger.artifacts.add(each, at=project.clock.now())
        return models.register(project, "words", artifact.digest)

    def traffic(self, *parts: Part) -> list[list[Trace]]:
        """Answers of several versions at the same time, as a gateway keeps them: what each part was answered."""
        kept: list[list[Trace]] = [[] for _ in parts]
        order = sorted((i / len(part.texts), n) for n, part in enumerate(parts) for i in range(len(part.texts)))
        sink = open_sink(self.project.config.store.traces)
        for _, number in order:
            part, place = parts[number], len(kept[number])
            trace = self._trace(part, part.texts[place])
            if part.role == "shadow":
                trace = replace(trace, parent=kept[0][min(place, len(kept[0]) - 1)].id)
            sink.add(trace)
            kept[number].append(trace)
        sink.close()
        return kept

    def _trace(self, part: Part, text: str) -> Trace:
        facts: dict[str, Any] = {"status": 200, "latency_ms": 20.0, "completion_tokens": 5, "prompt": "say it"}
        return Trace(
            id=f"{next(self.numbers):032x}",
            at=self.clock.now().timestamp(),
            endpoint="words",
            bundle=part.version.bundle,
            key="key",
            route="/v1/completions",
            answer=text,
            role=part.role,
            prompt_tokens=3,
            **{**facts, **part.changes},
        )

    def rate(self, traces: list[Trace], value: float, name: str = "rating") -> None:
        """What somebody says of answers."""
        for trace in traces:
            said = Feedback(
                trace=trace.id, name=name, value=value, at=trace.at, by="key", endpoint="words", bundle=trace.bundle
            )
            self.project.feedback.add(said)

    def look(self) -> Look:
        """One look of a controller that has just started, when the one before is gone."""
        self.clock.advance(LEASE.total_seconds() + 1)
        return Watch(self.project, "words").look()

    def shares(self) -> dict[Role, tuple[int, float]]:
        """The version and the share of each role."""
        releases = self.project.ledger.releases.current("words")
        return {role: (release.version, release.share) for role, release in releases.items()}

    @property
    def state(self) -> RolloutState:
        """That of the newest rollout."""
        return self.project.ledger.rollouts.history("words")[-1].state

    def actions(self) -> list[str]:
        """What happened to the newest rollout."""
        rollout = self.project.ledger.rollouts.history("words")[-1]
        return [event.action for event in self.project.ledger.rollouts.events(rollout.id)]


def open_stage(folder: Path, changes: dict[str, str], clock: FixedClock | None) -> Stage:
    """A fresh project; `changes` replaces some of its file by something else. Without a clock the time is the real one."""
    text = FILE
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    folder.mkdir()
    (folder / "kedge.toml").write_text(text)
    return Stage(project=open_project(folder, clock=clock), clock=clock or FixedClock(datetime.now(UTC)))


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes projects whose stable version is words@1, unless `promoted` is false; `real` ones go by the real time."""
    made: list[Stage] = []

    def make(changes: dict[str, str] | None = None, *, promoted: bool = True, real: bool = False) -> Stage:
        made.append(open_stage(tmp_path / f"project-{len(made)}", changes or {}, None if real else FixedClock(START)))
        first = made[-1].register("first")
        if promoted:
            models.promote(made[-1].project, first.address, override="the first")
            bind(made[-1].project, "words")
        return made[-1]

    yield make
    for stage in made:
        stage.project.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """A project whose stable version is words@1."""
    return make_stage()
