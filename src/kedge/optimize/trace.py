"""A causal language model of transformers as one OpenVINO graph, its keys and values as inputs and outputs.

The graph is converted by OpenVINO's own front end from a traced module; nothing is sent anywhere while it is made.
"""

from __future__ import annotations

import warnings
from typing import Any

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from transformers.cache_utils import DynamicCache, DynamicLayer

from kedge.core.errors import Invalid
from kedge.optimize.types import ExportFacts

_READ, _BEFORE, _ROWS = 4, 3, 2  # the sizes of the example that is traced; the graph takes any


class _Decoder(torch.nn.Module):
    """The model as a function of tensors alone, with the causal mask made inside."""

    def __init__(self, model: Any, layers: int) -> None:
        super().__init__()
        self._model = model
        self._layers = layers

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """The logits, then the keys and values of each layer."""
        cache = DynamicCache()
        cache.layers = [_layer(past[2 * i], past[2 * i + 1]) for i in range(self._layers)]
        out = self._model(
            input_ids=ids,
            attention_mask=_causal(mask, ids.shape[1]),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        kept = [tensor for layer in out.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return (out.logits, *kept)


def _layer(keys: torch.Tensor, values: torch.Tensor) -> DynamicLayer:
    layer = DynamicLayer()
    layer.keys, layer.values = keys, values
    layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
    return layer


def _causal(mask: torch.Tensor, read: int) -> torch.Tensor:
    """What each new token may look at: itself, what was before it, and no padding."""
    columns = mask.shape[1]
    rows = torch.arange(read) + (columns - read)
    seen = (torch.arange(columns)[None, :] <= rows[:, None])[None, None] & mask.bool()[:, None, None, :]
    lowest = torch.finfo(torch.float32).min
    return torch.zeros_like(seen, dtype=torch.float32).masked_fill(~seen, lowest)


def trace(model: Any, facts: ExportFacts) -> openvino.Model:
    """The graph of a model in float32. `Invalid` for an architecture that does not look back over everything."""
    _check(model)
    shape = (_ROWS, facts.key_value_heads, _BEFORE, facts.head_size)
    example = (
        torch.zeros(_ROWS, _READ, dtype=torch.long),
        torch.ones(_ROWS, _BEFORE + _READ, dtype=torch.long),
        torch.arange(_BEFORE, _BEFORE + _READ).expand(_ROWS, _READ),
        *(torch.zeros(shape) for _ in range(2 * facts.layers)),
    )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the tracer says of sizes that stay constant
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]  # torch says so little of it
                _Decoder(model, facts.layers), example, check_trace=False, strict=False
            )
            decoder = TorchScriptPythonDecoder(traced, example_input=example)
        frontend = FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(
            f"the architecture {facts.architecture} cannot be exported: {str(error).splitlines()[0][:200]}",
            hint="serve it with the engine transformers: leave the stage export out",
        ) from error


def _check(model: Any) -> None:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if kinds != {"full_attention"} or window:
        raise Invalid(
            "a model whose layers look back only so far cannot be exported",
            hint="serve it with the engine transformers: leave the stage export out",
        )
