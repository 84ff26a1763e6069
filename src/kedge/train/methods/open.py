"""Finds a way of training by name; its module is loaded only then."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from kedge.core.catalogue import Catalogue
from kedge.train.types import TrainOptions


class Method(Protocol):
    """A way of training: a module with these two functions."""

    def prepare(self, model: Any, options: TrainOptions) -> Any:
        """The model to train: exactly the parameters to be moved require a gradient."""
        ...

    def finish(self, model: Any, options: TrainOptions, folder: Path) -> Any:
        """The trained model as transformers saves it; what belongs beside it is in `folder` by then."""
        ...


METHODS: Catalogue[Method] = Catalogue("training method")
METHODS.add("full", lambda: cast(Method, import_module("kedge.train.methods.full")))
METHODS.add("lora", lambda: cast(Method, import_module("kedge.train.methods.lora")))
