"""Which examples each step sees: batches of one length and of about one number of tokens, in an order from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.train.examples import Examples

IGNORED = -100  # the label that torch's cross entropy leaves out
_WIDTH = 16  # batches are as wide as a multiple of it: other widths give other last bits on another number of threads
_POOL = 8192  # examples sorted by length together: little padding, and still a new mix each epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where training stands: `batch` batches of the epoch are done."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one step reads, padded on the right. `labels` are the next tokens; `start` is where the first one stands.

    `tokens` counts what is not padding. `next` is the position when this batch is done.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    start: int
    tokens: int
    next: Position


def walk(examples: Examples, *, batch_tokens: int, seed: int, position: Position) -> Iterator[Batch]:
    """Batches without end from `position` on. A function of its arguments: a resumed training sees the same ones."""
    epoch, skip = position.epoch, position.batch
    while True:
        plan = plan_epoch(examples.lengths, batch_tokens=batch_tokens, seed=seed, epoch=epoch)
        for number, chosen in enumerate(plan):
            if number >= skip:
                yield collate(examples, chosen, next=Position(epoch=epoch, batch=number + 1))
        epoch, skip = epoch + 1, 0


def plan_epoch(lengths: NDArray[np.int64], *, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The batches of one epoch as numbers of examples: each example once, near in length, at most `batch_tokens` padded
    tokens a batch (an example that is longer stands alone)."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
    order = random.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for i in range(0, len(order), _POOL):
        pool = order[i : i + _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += _cut(pool, lengths[pool], batch_tokens)
    return [batches[i] for i in random.permutation(len(batches))]


def _cut(pool: NDArray[np.int64], lengths: NDArray[np.int64], batch_tokens: int) -> list[NDArray[np.int64]]:
    """Cut a pool that is sorted by length into batches."""
    cuts, start = [], 0
    for i, length in enumerate(lengths.tolist()):
        if i > start and _width(length) * (i + 1 - start) > batch_tokens:
            cuts.append(i)
            start = i
    return np.split(pool, cuts)


def _width(length: int) -> int:
    """How wide a batch is whose longest example has `length` tokens; its last token is only a label."""
    return -(-(length - 1) // _WIDTH) * _WIDTH


def collate(examples: Examples, chosen: NDArray[np.int64], *, next: Position) -> Batch:
    """The chosen examples side by side. Inputs lack each example's last token, labels its first."""
    lengths = examples.lengths[chosen]
    width = _width(int(lengths.max()))
    inputs = np.zeros((len(chosen), width), dtype=np.int64)
    labels = np.full((len(chosen), width), IGNORED, dtype=np.int64)
    for row, i in enumerate(chosen):
        whole = examples.tokens[examples.starts[i] : examples.starts[i + 1]]
        prompt = max(int(examples.prompts[i]), 1)
        inputs[row, : len(whole) - 1] = whole[:-1]
        labels[row, prompt - 1 : len(whole) - 1] = whole[prompt:]
    return Batch(
        inputs=torch.from_numpy(inputs),
        labels=torch.from_numpy(labels),
        start=max(int(examples.prompts[chosen].min()), 1) - 1,
        tokens=int(lengths.sum()),
        next=next,
    )
