"""Steps as `local` runs them, in which work that is cut into parts goes to a Ray cluster."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

from kedge.core.errors import Missing
from kedge.core.step import StepResult
from kedge.pipeline.executors.local import LocalExecutor
from kedge.pipeline.types import Job, Listener


class RayExecutor:
    """A step's own process stays on this machine, where its stores are; the parts it is cut into are Ray tasks.

    Ray finds its cluster as it always does (`RAY_ADDRESS`), and starts one here if there is none. A cluster of several
    machines needs the project's folder on all of them. Nothing that is made differs from what `local` makes.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise Missing.extra("ray", "ray")
        self._local = LocalExecutor()

    def execute(self, job: Job, listener: Listener) -> StepResult:
        """Do the job. `Failed`."""
        return self._local.execute(replace(job, facts={**job.facts, "executor": "ray"}), listener)
