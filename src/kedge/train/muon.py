"""The optimizer Muon: moves a matrix along the nearest orthogonal matrix to its momentum.

After Keller Jordan, https://kellerjordan.github.io/posts/muon. Unlike torch's own it handles all matrices of one shape
together and computes in the precision that the machine is fast in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import torch

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """For the matrices inside a network; embeddings, heads and vectors are for another optimizer."""

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._dtype = dtype
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no loss to give back
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            params = sorted((p for p in group["params"] if p.grad is not None), key=lambda p: tuple(p.shape))
            for shape, alike in groupby(params, key=lambda p: tuple(p.shape)):
                self._move(list(alike), shape, group)

    def _move(self, params: list[torch.nn.Parameter], shape: tuple[int, ...], group: dict[str, Any]) -> None:
        updates = orthogonal(torch.stack([self._momentum(p, group["momentum"]) for p in params]).to(self._dtype))
        rate = group["lr"] * math.sqrt(max(1.0, shape[0] / shape[1]))
        for param, update in zip(params, updates, strict=True):
            param.mul_(1.0 - group["lr"] * group["weight_decay"])
            param.add_(update.to(param.dtype), alpha=-rate)

    def _momentum(self, param: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        """The gradient with Nesterov momentum."""
        assert param.grad is not None
        state = self.state[param]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(param)
        kept: torch.Tensor = state["momentum"]
        kept.lerp_(param.grad, 1.0 - momentum)
        return param.grad.lerp(kept, momentum)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """For each matrix one with the same singular vectors and singular values near 1 (0.7 to 1.2)."""
    a, b, c = _QUINTIC
    tall = matrices.size(-2) > matrices.size(-1)
    found = matrices.mT if tall else matrices
    found = found / found.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(_ROUNDS):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.mT if tall else found
