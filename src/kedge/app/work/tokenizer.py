"""The work of step `tokenizer`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kedge.core.artifact import ArtifactKind
from kedge.core.dataset import Split
from kedge.core.manifest import write_artifact
from kedge.core.step import StepContext, StepResult
from kedge.data.read import read_rows
from kedge.train.tokenizer import train_tokenizer
from kedge.train.types import TokenizerOptions


def work(context: StepContext, options: TokenizerOptions) -> StepResult:
    """Learn from the inputs and targets of the train split alone."""
    files = train_tokenizer(_texts(context), options)
    size = len(json.loads(files["tokenizer.json"])["model"]["vocab"])
    config = {"algorithm": "byte-level BPE", "cut": options.cut, "vocabulary": size}
    artifact = write_artifact(context.blobs, ArtifactKind.TOKENIZER, config, files)
    return StepResult(outputs={"tokenizer": artifact}, metrics={"vocabulary": float(size)})


def _texts(context: StepContext) -> Iterator[str]:
    context.progress.start(None, "read texts")
    for row in read_rows(context.blobs, context.inputs["dataset"].digest, Split.TRAIN):
        yield row.input
        yield row.target
        context.progress.advance()
