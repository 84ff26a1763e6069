"""Step `tokenizer`: learns a byte-level BPE tokenizer from the train split."""

from __future__ import annotations

from kedge.core.artifact import ArtifactKind
from kedge.core.step import Step
from kedge.train.types import TokenizerOptions

STEP = Step(
    name="tokenizer",
    options=TokenizerOptions,
    work="kedge.app.work.tokenizer:work",
    inputs={"dataset": ArtifactKind.DATASET},
    outputs={"tokenizer": ArtifactKind.TOKENIZER},
    code=("kedge.app.work.tokenizer", "kedge.train.tokenizer", "kedge.train.types"),
    packages=("tokenizers",),
    summary="Learn a byte-level BPE tokenizer from the train split.",
)
