"""Step `harness`: asks a bundle the tasks of lm-evaluation-harness, from their own YAML."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.artifact import ArtifactKind
from kedge.core.errors import Invalid
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessOptions:
    """Which tasks are run. `include` is a folder with YAML of your own; `limit` takes the first cases of each task (0: all),
    `shots` overrides how many examples are shown (none: as the task says)."""

    tasks: tuple[str, ...]
    include: str = ""
    limit: int = 0
    shots: int | None = None

    def __post_init__(self) -> None:
        if not self.tasks:
            raise Invalid("name at least one task", hint='tasks = ["arc_easy"]')


STEP = Step(
    name="harness",
    options=HarnessOptions,
    work="kedge.app.work.harness:work",
    inputs={"bundle": ArtifactKind.BUNDLE},
    outputs={"evaluation": ArtifactKind.REPORT},
    code=(
        "kedge.app.work.harness",
        "kedge.evaluate.importers",
        "kedge.evaluate.report",
        "kedge.evaluate.run",
        "kedge.evaluate.types",
        "kedge.serve.decoding",
        "kedge.serve.engines",
        "kedge.statistics.intervals",
    ),
    packages=("lm_eval", "datasets", "numpy", "scipy", "torch", "transformers", "tokenizers"),
    summary="Ask a bundle the tasks of lm-evaluation-harness, with the same scores a case.",
)
