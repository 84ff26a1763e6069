"""The loss of a batch, and of examples that are not learned from."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from kedge.train.batches import IGNORED, Batch, Position, collate, plan_epoch
from kedge.train.examples import Examples


def batch_loss(model: Any, batch: Batch, precision: torch.dtype, *, reduction: str = "mean") -> torch.Tensor:
    """The loss over the learned tokens of a batch, in nats."""
    labels = batch.labels[:, batch.start :]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        logits = model(input_ids=batch.inputs, use_cache=False, logits_to_keep=labels.shape[1]).logits
    learned = labels != IGNORED
    return cross_entropy(logits[learned].float(), labels[learned], reduction=reduction)


def validate(model: Any, examples: Examples, *, precision: torch.dtype, batch_tokens: int) -> float:
    """The mean loss over all learned tokens of the examples, in nats a token."""
    total, tokens = 0.0, 0
    training = model.training
    model.eval()
    with torch.no_grad():
        for chosen in plan_epoch(examples.lengths, batch_tokens=batch_tokens, seed=0, epoch=0):
            batch = collate(examples, chosen, next=Position())
            total += float(batch_loss(model, batch, precision, reduction="sum"))
            tokens += int((batch.labels != IGNORED).sum())
    model.train(training)
    return total / max(tokens, 1)
