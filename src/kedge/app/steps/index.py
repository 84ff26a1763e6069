"""Step `index`: makes the training rows of a dataset searchable, so that an answer can be traced to those near it."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.artifact import ArtifactKind
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Nothing to choose yet."""


STEP = Step(
    name="index",
    options=IndexOptions,
    work="kedge.app.work.index:work",
    inputs={"dataset": ArtifactKind.DATASET},
    outputs={"index": ArtifactKind.REPORT},
    code=(
        "kedge.app.work.index",
        "kedge.data.lookup.build",
        "kedge.data.lookup.types",
        "kedge.data.read",
        "kedge.text.features",
        "kedge.text.ragged",
    ),
    packages=("numpy", "pyarrow"),
    summary="Index the training rows, so that an answer can be traced to those near it.",
)
