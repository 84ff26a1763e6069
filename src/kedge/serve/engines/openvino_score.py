"""How likely an exported graph finds given completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from kedge.core.generation import Likelihood

Pair = tuple[Sequence[int], Sequence[int]]

_LOGITS = 2**26  # numbers held at once: 256 MiB in float32


class Scorer:
    """The graph compiled once more, for whole sequences at a time."""

    def __init__(self, graph: Path, properties: dict[str, Any], *, vocabulary: int) -> None:
        self._request = openvino.Core().compile_model(graph, "CPU", properties).create_infer_request()
        self._vocabulary = vocabulary

    def score(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """The likelihood of each completion after its prompt, both as tokens; pairs of like length go together."""
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        scores: dict[int, Likelihood] = {}
        for batch in self._batches(order, pairs):
            scores.update(zip(batch, self._score([pairs[i] for i in batch]), strict=True))
        return [scores[i] for i in range(len(pairs))]

    def _batches(self, order: Sequence[int], pairs: Sequence[Pair]) -> Iterator[list[int]]:
        """Runs of `order`, lengths rising, each small enough for its logits to be held."""
        batch: list[int] = []
        for i in order:
            columns = len(pairs[i][0]) + len(pairs[i][1])
            if batch and (len(batch) + 1) * columns * self._vocabulary > _LOGITS:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _score(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        longest = max(len(prompt) + len(completion) for prompt, completion in pairs)
        ids = np.zeros((len(pairs), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, (prompt, completion) in enumerate(pairs):
            whole = [*prompt, *completion]
            ids[row, : len(whole)] = whole
            mask[row, : len(whole)] = 1
        self._request.reset_state()
        given = {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": np.broadcast_to(np.arange(longest), ids.shape).copy(),
            "beam_idx": np.arange(len(pairs), dtype=np.int32),
        }
        logits = self._request.infer(given, share_inputs=True)["logits"]
        return [_likelihood(logits[row], *pair) for row, pair in enumerate(pairs)]


def _likelihood(logits: NDArray[np.float32], prompt: Sequence[int], completion: Sequence[int]) -> Likelihood:
    """The sum over the completion's tokens; each is predicted by the position before it."""
    rows = logits[len(prompt) - 1 : len(prompt) + len(completion) - 1].astype(np.float64)
    highest = rows.max(-1, keepdims=True, initial=-np.inf)
    sums = np.log(np.exp(rows - highest).sum(-1)) + highest[:, 0]
    chosen = rows[np.arange(len(completion)), list(completion)]
    return Likelihood(logprob=float((chosen - sums).sum()), tokens=len(completion))
