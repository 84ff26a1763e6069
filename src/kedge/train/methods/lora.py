"""Low-rank adaptation: small matrices are trained beside frozen ones, and merged into them or kept apart at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import save_file

from kedge.core import adapter
from kedge.core.errors import Invalid
from kedge.train.types import TrainOptions

_NAME = "default"  # what peft calls the only adapter
_EMBEDDING = ".lora_embedding_"


def prepare(model: Any, options: TrainOptions) -> Any:
    """The model with adapters, which alone are trained. `Invalid` if it has no layer of the names in `targets`, or one that
    cannot be kept apart."""
    lora = options.lora
    targets = lora.targets[0] if lora.targets == ("all-linear",) else list(lora.targets)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets
    )
    try:
        adapted = peft.get_peft_model(model, config)
    except ValueError as error:
        raise Invalid(f"lora.targets does not fit the base model: {error}") from error
    if not lora.merge and any(_EMBEDDING in name for name, _ in adapted.named_parameters()):
        raise Invalid(
            "an adapter of embeddings cannot be kept apart from its base",
            hint="set lora.merge = true, or other targets",
        )
    return adapted


def finish(model: Any, options: TrainOptions, folder: Path) -> Any:
    """The model with its adapter merged into its weights; or as it was before, with the adapter in the folder beside it."""
    if options.lora.merge:
        return model.merge_and_unload()
    _write(model, folder / adapter.FOLDER)
    return model.unload()


def _write(model: Any, folder: Path) -> None:
    """The adapter as peft has it, without what peft says of this machine."""
    folder.mkdir(parents=True)
    weights = peft.get_peft_model_state_dict(model, adapter_name=_NAME)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / adapter.WEIGHTS)
    config = {**model.peft_config[_NAME].to_dict(), "base_model_name_or_path": None, "inference_mode": True}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (folder / adapter.CONFIG).write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")
