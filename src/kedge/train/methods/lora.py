"""Low-rank adaptation: small matrices are trained beside frozen ones and merged into them at the end."""

from __future__ import annotations

from typing import Any

import peft

from kedge.core.errors import Invalid
from kedge.train.types import TrainOptions


def prepare(model: Any, options: TrainOptions) -> Any:
    """The model with adapters, which alone are trained. `Invalid` if it has no layer of the names in `targets`."""
    lora = options.lora
    targets = lora.targets[0] if lora.targets == ("all-linear",) else list(lora.targets)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise Invalid(f"lora.targets does not fit the base model: {error}") from error


def finish(model: Any) -> Any:
    """The model with its adapters merged into its weights."""
    return model.merge_and_unload()
