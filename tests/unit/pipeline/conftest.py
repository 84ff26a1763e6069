"""Stages made of nothing, and a record of runs in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kedge.core.artifact import Artifact, ArtifactKind
from kedge.core.run import Point, Run, RunStatus
from kedge.core.spec import Spec
from kedge.core.step import Step, StepResult
from kedge.pipeline.types import Circumstances, Stage

DATASET, MODEL, REPORT = ArtifactKind.DATASET, ArtifactKind.MODEL, ArtifactKind.REPORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """No options."""


def make_stage(
    name: str,
    *,
    needs: Mapping[str, ArtifactKind] | None = None,
    makes: Mapping[str, ArtifactKind] | None = None,
    given: Mapping[str, str] | None = None,
    args: Mapping[str, Any] | None = None,
) -> Stage:
    """A stage whose step has the same name."""
    step = Step(name=name, options=Nothing, work="nowhere:work", inputs=needs or {}, outputs=makes or {})
    return Stage(
        name=name, step=step, options=Nothing(), spec=Spec(name=name, args=dict(args or {})), given=dict(given or {})
    )


def make_around(code: str = "code", modules: Mapping[str, str] | None = None, **environment: str) -> Circumstances:
    """The surroundings of a stage."""
    return Circumstances(
        code=code, modules=modules or {"kedge.train": "1"}, environment=environment or {"torch": "2.13"}
    )


@dataclass
class MemoryRecords:
    """Runs in memory, the newest last."""

    runs: list[Run] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def known(self, key: str) -> Run | None:
        good = [run for run in self.runs if run.key == key and run.status is RunStatus.SUCCEEDED]
        return good[-1] if good and not self.lost & set(good[-1].outputs.values()) else None

    def newest(self, stage: str) -> Run | None:
        return next((run for run in reversed(self.runs) if run.stage == stage), None)

    def newest_good(self, stage: str) -> Run | None:
        good = (run for run in reversed(self.runs) if run.stage == stage and run.status is RunStatus.SUCCEEDED)
        return next(good, None)

    def artifact(self, digest: str) -> Artifact:
        return Artifact(digest=digest, kind=REPORT, size=0)

    def start(self, run: Run) -> None:
        self.runs.append(run)

    def measure(self, points: Sequence[Point]) -> None:
        return None

    def finish(self, run: Run, result: StepResult, points: Sequence[Point]) -> None:
        return None

    def fail(self, run: Run, status: RunStatus, error: str) -> None:
        return None

    def add(
        self,
        stage: Stage,
        key: str,
        around: Circumstances,
        *,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        status: RunStatus = RunStatus.SUCCEEDED,
    ) -> None:
        """Put a run on record."""
        started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.runs))
        self.runs.append(
            Run(
                id=f"{len(self.runs):04}",
                stage=stage.name,
                spec=stage.spec,
                key=key,
                status=status,
                started=started,
                code=around.code,
                environment=around.environment,
                inputs=inputs or {},
                outputs=outputs or {},
            )
        )
