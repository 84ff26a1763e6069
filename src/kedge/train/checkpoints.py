"""Where a training stands, kept so that a kill at any moment loses a few steps and changes nothing.

A checkpoint is one safetensors file with JSON in its header: written under another name, synced, then renamed.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

logger = logging.getLogger(__name__)

_NAME = "step-{:09d}.safetensors"
_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State after `step` steps: tensors by name, and plain facts."""

    step: int
    facts: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors named `name/...`, without the prefix."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}


class Checkpoints:
    """The checkpoints of one training in a folder. `key` names the training: those of another are not taken up."""

    def __init__(self, folder: Path, *, key: str) -> None:
        self._folder = folder
        self._key = key

    def write(self, checkpoint: Checkpoint) -> Path:
        """Keep a checkpoint; when it is safe, drop all but the newest two."""
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / _NAME.format(checkpoint.step)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        about = json.dumps({"key": self._key, "step": checkpoint.step, "facts": dict(checkpoint.facts)})
        tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
        save_file(tensors, temporary, metadata={"kedge": about})
        _sync(temporary)
        temporary.replace(target)
        _sync(self._folder)
        for old in self._found()[_KEPT:]:
            old.unlink()
        return target

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint of this training, if there is one. Damaged ones are passed over."""
        for path in self._found():
            try:
                found = _read(path, self._key)
            except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
                logger.warning("checkpoint passed over", extra={"path": str(path), "error": str(error)})
                continue
            if found is not None:
                return found
        return None

    def _found(self) -> list[Path]:
        return sorted(self._folder.glob(_NAME.replace("{:09d}", "*")), reverse=True)


def _read(path: Path, key: str) -> Checkpoint | None:
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["kedge"])
        if about["key"] != key:
            return None
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return Checkpoint(step=about["step"], facts=about["facts"], tensors=tensors)


def _sync(path: Path) -> None:
    """Flush a file or the entries of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
