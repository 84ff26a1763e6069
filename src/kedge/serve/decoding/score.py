"""How likely a model finds given completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as functional

from kedge.core.generation import Likelihood

_LOGITS = 2**26  # numbers held at once: 256 MiB in float32


def score_tokens(model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
    """The likelihood of each completion after its prompt, both as tokens; pairs of like length go together."""
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    batches = _batches(order, pairs, vocabulary=int(model.config.get_text_config().vocab_size))
    scores = dict(
        zip(order, (score for batch in batches for score in _score(model, [pairs[i] for i in batch])), strict=True)
    )
    return [scores[i] for i in range(len(pairs))]


def _batches(
    order: Sequence[int], pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, vocabulary: int
) -> Iterator[list[int]]:
    """Runs of `order`, lengths rising, each small enough for its logits to be held."""
    batch: list[int] = []
    for i in order:
        columns = len(pairs[i][0]) + len(pairs[i][1])
        if batch and (len(batch) + 1) * columns * vocabulary > _LOGITS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _score(model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
    longest = max(len(prompt) + len(completion) for prompt, completion in pairs)
    ids = torch.zeros(len(pairs), longest, dtype=torch.long)
    mask = torch.zeros(len(pairs), longest, dtype=torch.long)
    wanted = torch.zeros(len(pairs), longest, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(pairs):
        end = len(prompt) + len(completion)
        ids[row, :end] = torch.tensor([*prompt, *completion])
        mask[row, :end] = 1
        wanted[row, len(prompt) : end] = True
    with torch.inference_mode():
        logits = model(ids.to(model.device), attention_mask=mask.to(model.device)).logits
        before = wanted.roll(-1, 1)  # the position that predicts each wanted token
        losses = functional.cross_entropy(
            logits[before.to(model.device)].float(), ids[wanted].to(model.device), reduction="none"
        )
    lengths = [len(completion) for _, completion in pairs]
    totals = [float(part.double().sum()) for part in torch.split(losses.cpu(), lengths)]
    return [Likelihood(logprob=-total, tokens=length) for total, length in zip(totals, lengths, strict=True)]
