"""Low-rank adapters beside one frozen model: each row of a batch is read through its own, all in one pass.

As in S-LoRA (Sheng et al., 2023): the base is multiplied once for all rows, and what an adapter adds is small. Here the
small matrices of all adapters in a batch are one pair, and a row's part of it is cut out between the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file

from kedge.core import adapter
from kedge.core.errors import Invalid

NONE = 0  # the number of no adapter: a row that the base reads alone
_BEFORE = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")  # their layers read tokens without their rows
_PLAIN: Mapping[str, Any] = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "modules_to_save": None,
    "trainable_token_indices": None,
    "rank_pattern": {},
    "alpha_pattern": {},
}

Pair = tuple[torch.Tensor, torch.Tensor]  # down (rank, inputs) and up (outputs, rank)


@dataclass(slots=True, eq=False)
class _Reading:
    """Which adapter each row goes through, and those of them that there are; without rows all go through the only one."""

    rows: tuple[int, ...] = ()
    present: tuple[int, ...] = ()
    _others: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict)

    def others(self, owners: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Which ranks, each of an owner, are not a row's: (rows, 1, ranks)."""
        known = self._others.get(owners)
        if known is None:
            row, owner = torch.tensor(self.rows, device=like.device), torch.tensor(owners, device=like.device)
            known = self._others[owners] = (row.unsqueeze(1) != owner).unsqueeze(1)
        return known


class _Layer:
    """What adapters add to one layer: a hook that is called with what the layer was given and what it made of it."""

    def __init__(self, adapters: Adapters) -> None:
        self.pairs: dict[int, Pair] = {}
        self._adapters = adapters
        self._reading: _Reading | None = None
        self._owners: tuple[int, ...] = ()
        self._pair: Pair | None = None

    def __call__(self, module: Any, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> torch.Tensor:
        reading = self._adapters.reading
        if reading is not self._reading:
            self._gather(reading)
        if self._pair is None:
            return made
        down, up = self._pair
        low = functional.linear(given[0], down)
        if reading.rows:
            low = low.masked_fill(reading.others(self._owners, low), 0.0)
        return made + functional.linear(low, up)

    def _gather(self, reading: _Reading) -> None:
        """The matrices of all that is present, as one pair."""
        self._reading = reading
        mine = [number for number in reading.present if number in self.pairs]
        owners = tuple(number for number in mine for _ in range(len(self.pairs[number][0])))
        if owners == self._owners:
            return
        self._owners = owners
        pairs = [self.pairs[number] for number in mine]
        self._pair = (torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs], dim=1)) if pairs else None


class Adapters:
    """The adapters of one model, by numbers that are never used again."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layers: dict[str, _Layer] = {}
        self._made = NONE
        self.reading = _Reading()

    @property
    def mix(self) -> bool:
        """Whether rows of one batch can go through adapters of their own."""
        config = self._model.config.get_text_config()
        return not any(getattr(config, name, None) for name in _EXPERTS)

    def add(self, folder: Path) -> int:
        """Load an adapter in peft's layout; its number. `Invalid` if it is none that fits the model."""
        pairs = self._read(folder)
        self._made += 1
        for name, pair in pairs.items():
            if name not in self._layers:
                self._layers[name] = _Layer(self)
                self._model.get_submodule(name).register_forward_hook(self._layers[name])
            self._layers[name].pairs[self._made] = pair
        return self._made

    def remove(self, number: int) -> None:
        """Forget an adapter. Rows that still name it go through none."""
        for layer in self._layers.values():
            layer.pairs.pop(number, None)
        self.reading = _Reading()

    def read(self, rows: Sequence[int]) -> None:
        """From now on the model's rows go through these. Where all name the same, any number of rows may come."""
        present = sorted(set(rows))
        asked = tuple(rows) if len(present) > 1 else ()
        known = tuple(number for number in present if number != NONE)
        if (asked, known) != (self.reading.rows, self.reading.present):
            self.reading = _Reading(asked, known)

    def _read(self, folder: Path) -> dict[str, Pair]:
        scale = _scale(folder)
        try:
            weights = load_file(folder / adapter.WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise Invalid(f"the adapter's weights cannot be read: {error}") from error
        pairs = {}
        for name in sorted(weights):
            if name.endswith(_DOWN):
                layer = name.removeprefix(_BEFORE).removesuffix(_DOWN)
                down, up = weights.pop(name), weights.pop(name.removesuffix(_DOWN) + _UP, torch.empty(0))
                pairs[layer] = self._fitting(layer, down, scale * up.float())
        if weights or not pairs:
            raise Invalid(f"the adapter has weights that are not low-rank ones: {sorted(weights)[:1]}")
        return pairs

    def _fitting(self, name: str, down: torch.Tensor, up: torch.Tensor) -> Pair:
        """The matrices as the layer needs them. `Invalid` if there is no such layer, or they have another shape."""
        try:
            weight = self._model.get_submodule(name).weight
        except AttributeError as error:
            raise Invalid(f"the adapter changes the layer {name!r}, which the base does not have") from error
        if down.ndim != 2 or up.ndim != 2 or sorted(weight.shape) != sorted((down.shape[1], up.shape[0])):
            raise Invalid(f"the adapter does not fit the layer {name!r} of the base")
        if not (down.isfinite().all() and up.isfinite().all()):
            raise Invalid(f"the adapter of the layer {name!r} holds what is no number")
        return down.to(weight), up.to(weight)


def _scale(folder: Path) -> float:
    """What the product of an adapter's matrices is multiplied by. `Invalid` for an adapter that is more than that."""
    try:
        said = json.loads((folder / adapter.CONFIG).read_bytes())
        for name, value in _PLAIN.items():
            if said.get(name, value) != value:
                raise Invalid(f"an adapter with {name} = {said[name]!r} is not served", hint="merge it into its base")
        rank = float(said["r"])
        return float(said["lora_alpha"]) / (math.sqrt(rank) if said.get("use_rslora") else rank)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise Invalid(f"the adapter's configuration cannot be read: {error}") from error
