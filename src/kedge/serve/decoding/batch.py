"""Rows that are decoded together: left-padded over one cache, joined by newcomers, left by whoever is done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from transformers.cache_utils import Cache

from kedge.serve.decoding.adapters import Adapters
from kedge.serve.decoding.cache import is_roomy, join_rows, keep_rows, make_cache, moves_to_keep, size_of
from kedge.serve.decoding.row import Row

_WASTE = 2.0  # a joined batch may be this many times larger than its real tokens


@dataclass(slots=True, kw_only=True)
class Batch:
    """The state of several rows: cache, which of its columns are real (rows, columns), each row's next position, and the
    adapter it goes through."""

    cache: Cache
    mask: torch.Tensor
    positions: torch.Tensor
    adapters: list[int]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.mask.shape[0])

    @property
    def columns(self) -> int:
        """How long the longest row is."""
        return int(self.mask.shape[1])

    @property
    def roomy(self) -> bool:
        """Whether rows can be cut out and put in."""
        return is_roomy(self.cache)


class Decoder:
    """Runs a causal language model over batches. `context` bounds positions (0: no bound)."""

    def __init__(self, model: Any, adapters: Adapters, *, pad: int, context: int) -> None:
        self._model = model
        self._adapters = adapters
        self._pad = pad
        self._last = context - 1 if context else None
        self.token_bytes = 0  # what one token takes in the cache; known once something was read
        self._accepted = frozenset(inspect.signature(model.forward).parameters)

    def prefill(self, rows: Sequence[Row]) -> tuple[Batch, torch.Tensor]:
        """A batch that has read these rows' prompts, and the logits after each (rows, vocabulary)."""
        ids, mask, positions = self._laid_out([row.prompt for row in rows])
        batch = self._begin(rows, mask, positions)
        logits = self._forward(ids, mask, positions, batch)[:, -1]
        self.token_bytes = size_of(batch.cache) // mask.numel()
        return batch, logits

    def read_aloud(
        self, rows: Sequence[Row], hear: Callable[[torch.Tensor, torch.Tensor], None], *, columns: int
    ) -> tuple[Batch, torch.Tensor]:
        """As `prefill`, in parts of so many columns: `hear` gets the logits (rows, columns, vocabulary) of each part,
        and the places in the padded prompts that they predict (columns)."""
        ids, mask, positions = self._laid_out([row.prompt for row in rows])
        batch = self._begin(rows, mask, positions)
        longest = ids.shape[1]
        logits = torch.empty(0)
        for start in range(0, longest, columns):
            end = min(start + columns, longest)
            logits = self._forward(ids[:, start:end], mask[:, :end], positions[:, start:end], batch, kept=0)
            hear(logits, torch.arange(start + 1, end + 1))
        self.token_bytes = size_of(batch.cache) // mask.numel()
        return batch, logits[:, -1]

    def _begin(self, rows: Sequence[Row], mask: torch.Tensor, positions: torch.Tensor) -> Batch:
        """The batch as it will be when these prompts are read."""
        cache = make_cache(self._model.config)
        adapters = [row.adapter for row in rows]
        return Batch(cache=cache, mask=mask, positions=positions[:, -1] + 1, adapters=adapters)

    def _laid_out(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens padded on the left, which of them are real, and their positions."""
        longest = max(len(prompt) for prompt in prompts)
        padded = [[self._pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        mask = torch.tensor(real, device=self._model.device)
        return torch.tensor(padded, device=self._model.device), mask, (mask.cumsum(-1) - 1).clamp(min=0)

    def advance(self, batch: Batch, tokens: Sequence[int]) -> torch.Tensor:
        """Read one more token a row; the logits after it (rows, vocabulary)."""
        read = torch.tensor(tokens, device=batch.mask.device).unsqueeze(1)
        batch.mask = functional.pad(batch.mask, (0, 1), value=1)
        # A row that is done but not cut out yet goes on for nothing, and must not leave the model's positions.
        positions = batch.positions.clamp(max=self._last) if self._last is not None else batch.positions
        logits = self._forward(read, batch.mask, positions.unsqueeze(1), batch)[:, -1]
        batch.positions = batch.positions + 1
        return logits

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, batch: Batch, *, kept: int = 1
    ) -> torch.Tensor:
        """The logits of the last `kept` columns at least (0: of all)."""
        self._adapters.read(batch.adapters)
        given: dict[str, Any] = {"attention_mask": mask, "past_key_values": batch.cache, "use_cache": True}
        if "position_ids" in self._accepted:
            given["position_ids"] = positions
        if "logits_to_keep" in self._accepted:
            given["logits_to_keep"] = kept
        with torch.inference_mode():
            logits: torch.Tensor = self._model(ids, **given).logits
        return logits


def can_join(batch: Batch, other: Batch) -> bool:
    """Whether two batches decode well as one: not when a short row would carry much padding."""
    if not (batch.roomy and other.roomy):
        return False
    joined = max(batch.columns, other.columns) * (batch.rows + other.rows)
    return joined <= _WASTE * (batch.columns * batch.rows + other.columns * other.rows)


def join(batch: Batch, other: Batch) -> None:
    """Take in the rows of another batch, after its own. Both must be `roomy`; the other is not used afterwards."""
    columns = max(batch.columns, other.columns)
    with torch.inference_mode():
        join_rows(batch.cache, other.cache, columns)
        batch.mask = torch.cat([functional.pad(part.mask, (columns - part.columns, 0)) for part in (batch, other)])
        batch.positions = torch.cat([batch.positions, other.positions])
    batch.adapters += other.adapters


def keep(batch: Batch, rows: Sequence[int]) -> list[int]:
    """Let go of all rows but these, and of the columns that are padding in all of them; the old place of each row that
    is left. The batch must be `roomy`."""
    moves = moves_to_keep(rows)
    order = moves.order()
    mask = batch.mask[order]
    first = int(mask.any(0).int().argmax())
    with torch.inference_mode():
        keep_rows(batch.cache, moves, first)
        batch.mask = mask[:, first:]
        batch.positions = batch.positions[order]
    batch.adapters = [batch.adapters[place] for place in order]
    return order
