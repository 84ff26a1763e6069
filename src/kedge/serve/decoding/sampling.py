"""Chooses the next token of each row. What a row gets depends on its own logits and seed, not on its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kedge.serve.decoding.choice import Choice


def choose(logits: torch.Tensor, choices: Sequence[Choice]) -> list[int]:
    """One token a row of `logits` (rows, vocabulary)."""
    tokens: list[int] = logits.argmax(-1).tolist()
    whole = [i for i, choice in enumerate(choices) if not choice.greedy and choice.top_p >= 1]
    nucleus = [i for i, choice in enumerate(choices) if not choice.greedy and choice.top_p < 1]
    if whole:
        _put(tokens, whole, _draw(_probabilities(logits, choices, whole), choices, whole))
    if nucleus:
        ranked, order = _probabilities(logits, choices, nucleus).sort(-1, descending=True)
        top_p = torch.tensor([[choices[i].top_p] for i in nucleus], device=logits.device)
        ranked = ranked.masked_fill(ranked.cumsum(-1) - ranked >= top_p, 0.0)
        _put(tokens, nucleus, order.gather(-1, _draw(ranked, choices, nucleus)))
    return tokens


def _probabilities(logits: torch.Tensor, choices: Sequence[Choice], rows: Sequence[int]) -> torch.Tensor:
    temperature = torch.tensor([[choices[i].temperature] for i in rows], device=logits.device)
    return torch.softmax(logits[list(rows)].float() / temperature, -1)


def _draw(weights: torch.Tensor, choices: Sequence[Choice], rows: Sequence[int]) -> torch.Tensor:
    """The position in each row where the running sum of the weights passes the row's own random number."""
    sums = weights.cumsum(-1)
    drawn = torch.tensor([[choices[i].chance.random()] for i in rows], device=weights.device)
    found = torch.searchsorted(sums, drawn * sums[:, -1:], right=True)
    last = (weights > 0).int().cumsum(-1).argmax(-1, keepdim=True)  # rounding may pass the last weight
    return torch.minimum(found, last)


def _put(tokens: list[int], rows: Sequence[int], drawn: torch.Tensor) -> None:
    for row, token in zip(rows, drawn.flatten().tolist(), strict=True):
        tokens[row] = token
