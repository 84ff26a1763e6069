"""Where an adapter lies in a model that keeps it apart from its base: a folder of its own, as peft writes it."""

from __future__ import annotations

from typing import Final

FOLDER: Final = "adapter"
WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"


def is_adapter(title: str) -> bool:
    """Whether a file of a model belongs to its adapter and not to the base."""
    return title.startswith(f"{FOLDER}/")
