"""Which optimizer moves which parameter, and their state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from kedge.train.muon import Muon
from kedge.train.types import TrainOptions

_BETAS = (0.9, 0.98)


class Optimizers:
    """The optimizers of a model as one. Rates are peaks; `step` takes the share of them that is due."""

    def __init__(self, model: torch.nn.Module, options: TrainOptions, *, dtype: torch.dtype) -> None:
        matrices, others = _divide(model)
        if options.mover == "muon":
            muon = Muon(matrices, lr=options.matrix_learning_rate, weight_decay=options.weight_decay, dtype=dtype)
            self._all: Sequence[torch.optim.Optimizer] = (muon, _adamw(others, options, decay=0.0))
        else:
            self._all = (
                _adamw(matrices, options, decay=options.weight_decay),
                _adamw(others, options, decay=0.0),
            )
        self._all = tuple(optimizer for optimizer in self._all if optimizer.param_groups[0]["params"])
        self._peaks = [optimizer.param_groups[0]["lr"] for optimizer in self._all]

    @property
    def rate(self) -> float:
        """The learning rate of the last step, of the first optimizer (Muon's where there is one)."""
        return float(self._all[0].param_groups[0]["lr"])

    def step(self, share: float) -> None:
        """Move the parameters at `share` of the peak rates, and forget the gradients."""
        for optimizer, peak in zip(self._all, self._peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """All state by `optimizer.parameter.name`."""
        return {
            f"{number}.{parameter}.{name}": value
            for number, optimizer in enumerate(self._all)
            for parameter, values in optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` gave."""
        for number, optimizer in enumerate(self._all):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in tensors.items():
                owner, parameter, name = key.split(".")
                if int(owner) == number:
                    state.setdefault(int(parameter), {})[name] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _divide(model: torch.nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The matrices inside the network, and everything else that is trained: embeddings, the head and vectors."""
    outer = {
        id(parameter)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) or name.split(".")[-1] in ("lm_head", "embed_out", "output")
        for parameter in module.parameters(recurse=False)
    }
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (matrices if parameter.ndim == 2 and id(parameter) not in outer else others).append(parameter)
    return matrices, others


def _adamw(params: list[torch.nn.Parameter], options: TrainOptions, *, decay: float) -> torch.optim.Optimizer:
    groups = [{"params": params}]  # a list of groups may hold an empty one
    return torch.optim.AdamW(groups, lr=options.rate, betas=_BETAS, weight_decay=decay, fused=True)
