"""Reads prompts aloud: each of their tokens with its probability, without holding all logits at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kedge.core.generation import TokenChoice
from kedge.serve.decoding.batch import Batch, Decoder
from kedge.serve.decoding.logits import TextOf, told
from kedge.serve.decoding.row import Row

_LOGITS = 2**25  # numbers held at once: 128 MiB in float32


def read_aloud(
    decoder: Decoder, rows: Sequence[Row], text: TextOf, *, vocabulary: int
) -> tuple[Batch, torch.Tensor, list[list[TokenChoice]]]:
    """A batch that has read these rows' prompts, the logits after each, and the tokens of those that asked for them."""
    prompts = [row.prompt for row in rows]
    longest = max(len(prompt) for prompt in prompts)
    starts = [longest - len(prompt) for prompt in prompts]
    said: list[list[TokenChoice]] = [
        [] if row.request.logprobs is None else [TokenChoice(text=text(row.prompt[0]), logprob=None)] for row in rows
    ]

    def hear(logits: torch.Tensor, places: torch.Tensor) -> None:
        for i, row in enumerate(rows):
            wanted = [at for at, place in enumerate(places.tolist()) if starts[i] < place < longest]
            if not wanted or row.request.logprobs is None:
                continue
            tokens = [prompts[i][int(places[at]) - starts[i]] for at in wanted]
            said[i] += told(logits[i, wanted], tokens, [row.request.logprobs] * len(wanted), text)

    columns = max(1, _LOGITS // (vocabulary * len(rows)))
    batch, logits = decoder.read_aloud(rows, hear, columns=columns)
    return batch, logits, said
