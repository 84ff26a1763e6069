"""Step `train`: a model from scratch or from a base, in full or with LoRA."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kedge.core.artifact import ArtifactKind
from kedge.core.hashing import digest_of
from kedge.core.step import Step
from kedge.train.types import TrainOptions

_CHUNK = 1 << 20


def digest_base(options: TrainOptions, root: Path) -> str:
    """The digest of the base model's files, or of its name on the hub; "" from scratch."""
    if not options.base:
        return ""
    folder = (root / Path(options.base).expanduser()).resolve()
    if not folder.is_dir():
        return digest_of([options.base, options.revision])
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of([[path.relative_to(folder).as_posix(), _digest_file(path)] for path in files])


def _digest_file(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


STEP = Step(
    name="train",
    options=TrainOptions,
    work="kedge.app.work.train:work",
    inputs={"dataset": ArtifactKind.DATASET, "tokenizer?": ArtifactKind.TOKENIZER},
    outputs={"model": ArtifactKind.MODEL},
    code=("kedge.app.work.train", "kedge.train"),
    packages=("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy"),
    outside=digest_base,
    summary="Train a model from scratch or from a base, in full or with LoRA.",
)
