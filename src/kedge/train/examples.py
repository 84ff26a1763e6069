"""Rows as tokens, packed into flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.core.dataset import Row
from kedge.core.errors import Invalid

_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Example `i` is `tokens[starts[i]:starts[i + 1]]`; its first `prompts[i]` tokens are read but not learned.

    `skipped` counts the rows that were too long.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    prompts: NDArray[np.int32]
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of tokens of each example."""
        return np.diff(self.starts)


class Encoder:
    """Turns rows into tokens exactly as an engine will: the prompt with the tokenizer's special tokens, then the target."""

    def __init__(self, tokenizer: Any, *, prompt: str, max_tokens: int) -> None:
        if tokenizer.eos_token_id is None:
            raise Invalid("the tokenizer has no token that ends an answer", hint="its eos_token is not set")
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._max = max_tokens

    def encode(self, rows: Iterable[Row]) -> Examples:
        """All rows as examples; a row without a target is plain text, learned from beginning to end."""
        tokens, lengths, prompts = array("i"), array("i"), array("i")
        skipped = 0
        rows = iter(rows)
        while several := list(islice(rows, _AT_ONCE)):
            for pieces in self._encode(several):
                if not pieces:
                    skipped += 1
                for prompt, whole in pieces:
                    tokens.extend(whole)
                    lengths.append(len(whole))
                    prompts.append(prompt)
        return Examples(
            tokens=np.array(tokens, dtype=np.int32),
            starts=np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))]).astype(np.int64),
            prompts=np.array(prompts, dtype=np.int32),
            skipped=skipped,
        )

    def _encode(self, rows: Sequence[Row]) -> Iterator[list[tuple[int, list[int]]]]:
        """For each row its examples as (tokens only read, all tokens); none if the row is too long."""
        reads = self._ids([self._prompt.replace("{input}", row.input) for row in rows], special=True)
        learns = self._ids([row.target for row in rows], special=False)
        for row, read, learn in zip(rows, reads, learns, strict=True):
            if row.target:
                whole = [*read, *learn, self._tokenizer.eos_token_id]
                yield [(len(read), whole)] if len(whole) <= self._max else []
            else:
                whole = [*read, self._tokenizer.eos_token_id]
                parts = [whole[i : i + self._max] for i in range(0, len(whole), self._max)]
                yield [(1, part) for part in parts if len(part) > 1]

    def _ids(self, texts: list[str], *, special: bool) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer(
            texts, add_special_tokens=special, verbose=False, return_attention_mask=False
        )["input_ids"]
        return ids
