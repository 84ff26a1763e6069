"""Two steps in plain Python: one makes a number, the other adds to it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kedge.core.artifact import ArtifactKind
from kedge.core.catalogue import Catalogue
from kedge.core.manifest import read_config, write_artifact
from kedge.core.step import Step, StepContext, StepResult

NUMBER = {"number": ArtifactKind.REPORT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is counted, and how long it takes."""

    value: int = 0
    seconds: float = 0.0


def work(context: StepContext, options: Options) -> StepResult:
    """Add the value to the input, if there is one."""
    before = sum(read_config(context.blobs, each.digest)["number"] for each in context.inputs.values())
    artifact = write_artifact(context.blobs, ArtifactKind.REPORT, {"number": before + options.value}, {"same": b"same"})
    time.sleep(options.seconds)
    return StepResult(outputs={"number": artifact})


def load() -> Catalogue[Step]:
    """The catalogue of both."""
    steps: Catalogue[Step] = Catalogue("step")
    steps.add("count", lambda: Step(name="count", options=Options, work="countingsteps:work", outputs=NUMBER))
    steps.add(
        "add", lambda: Step(name="add", options=Options, work="countingsteps:work", inputs=NUMBER, outputs=NUMBER)
    )
    return steps
