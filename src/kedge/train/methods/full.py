"""Every weight is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedge.train.types import TrainOptions


def prepare(model: Any, options: TrainOptions) -> Any:
    """The model with every parameter trained."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def finish(model: Any, options: TrainOptions, folder: Path) -> Any:
    """The model as it is kept."""
    return model
