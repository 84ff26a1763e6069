"""How many tokens a dataset has, and what packing it into sequences of one length costs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.data.packing_types import Packing

_QUANTILES = {"min": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
_BATCH = 1024


def measure_packing(rows: Iterable[Row], tokenizer: Path, length: int) -> Packing:
    """Tokens of input and target together, with one between rows. `Invalid` if the file is no tokenizer."""
    try:
        encoder = Tokenizer.from_file(str(tokenizer))
    except (OSError, ValueError) as error:
        raise Invalid(f"{tokenizer} is not a tokenizer: {error}", hint="name a tokenizer.json") from error
    sizes: list[int] = []
    characters = 0
    batch: list[str] = []
    for row in rows:
        batch.append(row.input + row.target)
        characters += len(batch[-1])
        if len(batch) == _BATCH:
            sizes += [len(each.ids) + 1 for each in encoder.encode_batch_fast(batch)]
            batch = []
    sizes += [len(each.ids) + 1 for each in encoder.encode_batch_fast(batch)] if batch else []
    return _measured(np.array(sizes, dtype=np.int64), characters, length)


def _measured(sizes: np.ndarray, characters: int, length: int) -> Packing:
    tokens, kept = int(sizes.sum()), np.minimum(sizes, length)
    packed, filled = 0, length
    for size in kept.tolist():
        if filled + size > length:
            packed, filled = packed + 1, 0
        filled += size
    whole = int(kept.sum())
    return Packing(
        rows=len(sizes),
        tokens=tokens,
        lengths={name: float(np.quantile(sizes, at)) for name, at in _QUANTILES.items()} if len(sizes) else {},
        characters_a_token=characters / max(1, tokens - len(sizes)),
        length=length,
        cut=int((sizes > length).sum()),
        packed=packed,
        padding=1 - whole / max(1, len(sizes) * length),
        packed_padding=1 - whole / max(1, packed * length),
    )
