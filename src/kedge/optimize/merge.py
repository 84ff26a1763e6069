"""Adds an adapter to the weights of its base, for what knows only one set of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft


def merge(model: Any, folder: Path) -> Any:
    """The model with the adapter in the folder merged into its weights."""
    return peft.PeftModel.from_pretrained(model, folder, local_files_only=True).merge_and_unload()
