"""Steps in plain Python for the pipeline's tests. Each unit of work leaves a line in `units.log` of the project."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kedge.core.artifact import ArtifactKind
from kedge.core.catalogue import Catalogue
from kedge.core.errors import Invalid
from kedge.core.evaluation import Gate, Rule
from kedge.core.manifest import read_config, write_artifact
from kedge.core.step import Step, StepContext, StepResult

REPORT = {"report": ArtifactKind.REPORT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A table inside the options."""

    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`units` units of work that take `seconds` each, and how it goes wrong: `raise`, `refuse`, `exit` or a signal."""

    value: int = 1
    units: int = 2
    seconds: float = 0.0
    wrong: str = ""
    inner: Inner = Inner()


def work(context: StepContext, options: Options) -> StepResult:
    """Add `value` to the sum of the inputs, unit by unit, going on from the units done before."""
    done = context.workdir / "done"
    context.progress.start(options.units, "counting")
    for unit in range(len(done.read_text()) if done.exists() else 0, options.units):
        time.sleep(options.seconds)
        with (context.root / "units.log").open("a") as log:
            log.write(f"{context.stage} {unit}\n")
        with done.open("a") as file:
            file.write(".")
        context.progress.advance()
        context.progress.note(unit=unit)
        context.metrics.log("loss", 1.0 / (unit + 1), unit)
    print("a line on stdout does no harm")
    if options.wrong:
        go_wrong(options.wrong)
    total = options.value + sum(read_config(context.blobs, each.digest)["total"] for each in context.inputs.values())
    artifact = write_artifact(context.blobs, ArtifactKind.REPORT, {"total": total}, {"total.txt": str(total).encode()})
    return StepResult(outputs={"report": artifact}, metrics={"total": float(total)})


def go_wrong(how: str) -> None:
    """Fail in one of the ways a worker can."""
    print("last words of the worker", file=sys.stderr, flush=True)
    if how == "raise":
        raise ZeroDivisionError("one over nothing")
    if how == "refuse":
        raise Invalid("the rows are no good", hint="bring better rows")
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.Signals[how])


def digest_file(options: Options, root: Path) -> str:
    """What the step reads from outside."""
    path = root / "outside.txt"
    return path.read_text() if path.exists() else ""


def rule(options: Options, stage: str) -> Gate:
    """The gate that the options set."""
    return Gate(name=stage, rules=(Rule(metric="total", at_least=float(options.value)),))


STEPS = (
    Step(name="count", options=Options, work="tinysteps:work", outputs=REPORT, code=("tinysteps",)),
    Step(name="add", options=Options, work="tinysteps:work", inputs=REPORT, outputs=REPORT, code=("tinysteps",)),
    Step(name="outside", options=Options, work="tinysteps:work", outputs=REPORT, outside=digest_file),
    Step(name="judge", options=Options, work="tinysteps:work", inputs=REPORT, outputs=REPORT, gate=rule),
)


def load() -> Catalogue[Step]:
    """The catalogue of these steps."""
    steps: Catalogue[Step] = Catalogue("step")
    for step in STEPS:
        steps.add(step.name, partial(_same, step))
    return steps


def _same(step: Step) -> Step:
    return step
