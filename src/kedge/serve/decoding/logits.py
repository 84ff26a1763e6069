"""What is done to logits before a token is chosen from them, and what is told of them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from kedge.core.generation import TokenChoice
from kedge.serve.decoding.row import Row

TextOf = Callable[[int], str]


def adjust(logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """The logits to choose from: a copy where a row's penalties or schema change them."""
    changed = [i for i, row in enumerate(rows) if row.adjusts and not row.finish]
    if not changed:
        return logits
    with torch.inference_mode():
        logits = logits.float().clone()
        for i in changed:
            if rows[i].request.penalties is not None:
                _penalise(logits[i], rows[i])
            if rows[i].schema is not None:
                _forbid(logits[i], rows[i])
    return logits


def _penalise(logits: torch.Tensor, row: Row) -> None:
    """Change a row's logits by what its answer has already, in place."""
    penalties = row.request.penalties
    assert penalties is not None
    if row.counts and (penalties.frequency or penalties.presence):
        tokens = torch.tensor(list(row.counts), device=logits.device)
        counts = torch.tensor(list(row.counts.values()), device=logits.device, dtype=logits.dtype)
        logits[tokens] -= penalties.frequency * counts + penalties.presence
    for token, bias in penalties.bias.items():
        logits[token] += bias


def _forbid(logits: torch.Tensor, row: Row) -> None:
    """Leave a row only the tokens that its schema allows next, in place."""
    assert row.schema is not None
    bits = np.frombuffer(row.schema.allowed(), dtype=np.uint8)
    allowed = np.unpackbits(bits, count=logits.shape[0], bitorder="little").astype(bool)
    logits[~torch.from_numpy(allowed).to(logits.device)] = -torch.inf


def told(logits: torch.Tensor, tokens: Sequence[int], tops: Sequence[int], text: TextOf) -> list[TokenChoice]:
    """Each row's token with its log-probability, and the likeliest `tops` of that row."""
    logprobs = logits.float().log_softmax(-1)
    chosen = logprobs.gather(-1, torch.tensor(tokens, device=logits.device).unsqueeze(-1)).flatten().tolist()
    most = max(tops, default=0)
    values, places = logprobs.topk(min(most, logprobs.shape[-1])) if most else (logprobs[:, :0], logprobs[:, :0])
    rows = zip(tokens, chosen, tops, values.tolist(), places.tolist(), strict=True)
    return [
        TokenChoice(
            text=text(token),
            logprob=logprob,
            top=tuple((text(int(place)), value) for place, value in zip(ids[:top], best[:top], strict=True)),
        )
        for token, logprob, top, best, ids in rows
    ]
