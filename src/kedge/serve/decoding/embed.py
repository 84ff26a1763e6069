"""Texts as vectors: the last hidden states of the model, averaged over the tokens and scaled to length 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as functional


def embed_tokens(model: Any, prompts: Sequence[Sequence[int]], *, at_once: int) -> list[bytes]:
    """The vector of each prompt as 32-bit floats, little-endian; prompts of like length go together, with at most
    `at_once` tokens (a longer one alone)."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    vectors: dict[int, bytes] = {}
    for batch in _batches(order, prompts, at_once=at_once):
        made = _embed(model, [prompts[i] for i in batch])
        vectors.update(zip(batch, (row.numpy().astype("<f4").tobytes() for row in made), strict=True))
    return [vectors[i] for i in range(len(prompts))]


def _batches(order: Sequence[int], prompts: Sequence[Sequence[int]], *, at_once: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * len(prompts[i]) > at_once:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _embed(model: Any, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=model.device)
    mask = torch.tensor([[1] * len(prompt) + [0] * (longest - len(prompt)) for prompt in prompts], device=model.device)
    with torch.inference_mode():
        states = model.base_model(ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        return functional.normalize((states * weights).sum(1) / weights.sum(1), dim=-1).cpu()
