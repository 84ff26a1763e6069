"""Trains a model on rows: from scratch or from a base, resumable to the bit, the same digest each time."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from heapq import nsmallest
from pathlib import Path
from typing import Any

import torch
import transformers

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.hashing import digest_of
from kedge.train.checkpoints import Checkpoints
from kedge.train.examples import Encoder, Examples
from kedge.train.loop import Data, Loop, Reports
from kedge.train.methods.open import METHODS
from kedge.train.model import count_parameters, kept_dtype, load_tokenizer, open_model
from kedge.train.precision import choose_precision, name_of
from kedge.train.types import TrainOptions, TrainResult

logger = logging.getLogger(__name__)

_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab*", "merges*")
_REPORTING = ("threads", "log_every", "checkpoint_every")  # options that change nothing in the weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What to train on and where. `base` is a vetted folder with the base model (None: from scratch); `tokenizer` a
    folder with the tokenizer's files. Checkpoints and the result are written to `workdir`."""

    options: TrainOptions
    rows: Iterable[Row]
    validation: Iterable[Row]
    tokenizer: Path
    base: Path | None
    workdir: Path


def train(request: TrainRequest, reports: Reports) -> TrainResult:
    """Train, going on from the newest checkpoint in the workdir. `Invalid` if there is nothing to learn; `Failed` if
    the loss is no number or diverges."""
    began = time.monotonic()
    options = request.options
    _quiet(options)
    precision = choose_precision(options.precision)
    tokenizer = load_tokenizer(request.tokenizer)
    data = _encode(request, tokenizer)
    method = METHODS.get(options.method)
    model = method.prepare(open_model(options, base=request.base, tokenizer=tokenizer), options)
    trained = count_parameters(model, trained=True)
    checkpoints = Checkpoints(request.workdir / "checkpoints", key=_key(request, data.train, precision))
    loop = Loop(model, options, data=data, precision=precision, checkpoints=checkpoints)
    resumed = loop.resume()
    reports.progress.note(precision=name_of(precision), trained_parameters=trained, resumed_from=resumed)
    logger.info("training", extra={"precision": name_of(precision), "parameters": trained, "resumed_from": resumed})
    loop.run(reports)
    folder = request.workdir / "model"
    shutil.rmtree(folder, ignore_errors=True)
    finished = method.finish(model, options, folder).to(kept_dtype(request.base))
    _save(finished, folder, request.tokenizer)
    return TrainResult(
        folder=folder,
        parameters=count_parameters(finished),
        trained=trained,
        precision=name_of(precision),
        dtype=name_of(kept_dtype(request.base)),
        architecture=str(finished.config.model_type),
        examples=len(data.train),
        skipped=data.train.skipped,
        steps=loop.step,
        tokens=loop.tokens,
        loss=loop.loss,
        validation_loss=loop.validation_loss,
        resumed_from=resumed,
        seconds=time.monotonic() - began,
    )


def _quiet(options: TrainOptions) -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)


def _encode(request: TrainRequest, tokenizer: Any) -> Data:
    options = request.options
    encoder = Encoder(tokenizer, prompt=options.prompt, max_tokens=options.max_tokens)
    watched = nsmallest(options.validation_rows, request.validation, key=lambda row: row.id)
    data = Data(train=encoder.encode(request.rows), validation=encoder.encode(watched))
    if not len(data.train):
        raise Invalid(
            f"there is nothing to learn from: {data.train.skipped} rows, all too long",
            hint=f"check the train split of the dataset, and max_tokens = {options.max_tokens}",
        )
    return data


def _key(request: TrainRequest, examples: Examples, precision: torch.dtype) -> str:
    """Names the training: a checkpoint of another one is not taken up."""
    hashed = hashlib.sha256()
    for part in (examples.tokens, examples.starts, examples.prompts):
        hashed.update(part.tobytes())
    decisive = replace(request.options, **{name: getattr(TrainOptions(), name) for name in _REPORTING})
    return digest_of([asdict(decisive), hashed.hexdigest(), name_of(precision), torch.__version__])


def _save(model: Any, folder: Path, tokenizer: Path) -> None:
    """The model and its tokenizer in Hugging Face layout."""
    model.save_pretrained(folder)
    for pattern in _TOKENIZER_FILES:
        for path in tokenizer.glob(pattern):
            if path.is_file() and not path.name.endswith(".safetensors"):
                shutil.copyfile(path, folder / path.name)
