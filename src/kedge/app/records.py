"""The pipeline's record of runs, kept in the ledger; and what it remembers of source code, kept beside it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kedge.app.project import Project
from kedge.core.artifact import Artifact
from kedge.core.errors import NotFound
from kedge.core.ledger import Ledger, RunQuery
from kedge.core.run import Point, Run, RunStatus
from kedge.core.step import StepResult
from kedge.pipeline.processes import is_alive
from kedge.pipeline.types import Circumstances
from kedge.store.ledger.peek import Peek, Unanswered


class LedgerRecords:
    """What the pipeline reads from and writes to the ledger of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._peek: Peek | None = None
        with suppress(Unanswered):
            self._peek = Peek(project.config.store.ledger)

    @property
    def _ledger(self) -> Ledger:
        return self._project.ledger

    def known(self, key: str) -> Run | None:
        """The newest succeeded run with this key whose outputs are all still on record."""
        if self._peek is not None:
            with suppress(Unanswered):
                return self._peek.succeeded(key)
        run = self._ledger.runs.succeeded(key)
        return run if run and all(self._exists(digest) for digest in run.outputs.values()) else None

    def newest(self, stage: str) -> Run | None:
        """The newest run of a stage, whatever became of it."""
        found = self._ledger.runs.search(RunQuery(where=f"stage = '{stage}'", limit=1))
        return found[0] if found else None

    def newest_good(self, stage: str) -> Run | None:
        """The newest succeeded run of a stage."""
        found = self._ledger.runs.search(RunQuery(where=f"stage = '{stage}' and status = 'succeeded'", limit=1))
        return found[0] if found else None

    def artifact(self, digest: str) -> Artifact:
        """An artifact on record."""
        return self._ledger.artifacts.get(digest)

    def start(self, run: Run) -> None:
        """Record that a run begins."""
        self._ledger.runs.start(run)

    def measure(self, points: Sequence[Point]) -> None:
        """Record metric values."""
        self._ledger.metrics.append(points)

    def finish(self, run: Run, result: StepResult, points: Sequence[Point]) -> None:
        """Record success in one transaction: artifacts, last metrics, the run's end, and what the result asks for."""
        ended = self._project.clock.now()
        outputs = {port: artifact.digest for port, artifact in result.outputs.items()}
        with self._ledger.begin() as tx:
            for artifact in result.outputs.values():
                tx.artifacts.add(artifact, at=ended)
            tx.metrics.append(points)
            tx.runs.finish(run.id, RunStatus.SUCCEEDED, ended=ended, outputs=outputs)
            done = replace(run, status=RunStatus.SUCCEEDED, ended=ended, outputs=outputs, metrics=result.metrics)
            for effect in result.effects:
                importlib.import_module("kedge.app.effects").apply_effect(self._project, tx, effect, done)

    def fail(self, run: Run, status: RunStatus, error: str) -> None:
        """Record how a run failed."""
        self._ledger.runs.finish(run.id, status, ended=self._project.clock.now(), error=error)

    def close_dead(self) -> list[Run]:
        """Mark the runs whose process is gone without a word as interrupted."""
        if self._peek is not None:
            with suppress(Unanswered):
                if not self._peek.any_running():
                    return []
        running = self._ledger.runs.search(RunQuery(where="status = 'running'", limit=1000))
        dead = [run for run in running if run.worker is not None and not is_alive(run.worker)]
        for run in dead:
            self.fail(run, RunStatus.INTERRUPTED, "its process is gone")
        return dead

    def close(self) -> None:
        """Let go of what was opened to look."""
        if self._peek is not None:
            self._peek.close()

    def _exists(self, digest: str) -> bool:
        try:
            self._ledger.artifacts.get(digest)
        except NotFound:
            return False
        return True


class CodeMemory:
    """Which modules a code digest was made of, so that a change can be named. Only a cache: it may be deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remember(self, around: Circumstances) -> None:
        """Keep the modules of a digest."""
        path = self._path(around.code)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_text(json.dumps(dict(around.modules)))
            new.replace(path)

    def modules(self, code: str) -> Mapping[str, str]:
        """The modules of a digest; empty when they are not remembered."""
        try:
            remembered: dict[str, str] = json.loads(self._path(code).read_text())
        except (OSError, ValueError):
            return {}
        return remembered

    def _path(self, code: str) -> Path:
        return self._folder / f"{code.removeprefix('sha256:')}.json"
