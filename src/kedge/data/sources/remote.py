"""Rows that do not lie in files here: object stores, the Hugging Face hub, and SQL databases. They are brought here first.

What was brought is kept in a folder and asked for again only when it has changed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from kedge.core.errors import Missing
from kedge.data.types import SourceFile

FOLDER: Final = Path(".kedge", "cache", "remote")

Bring = Callable[[str, Path], list[SourceFile]]

_OBJECTS = "kedge.data.sources.objects:bring"
_BRINGERS: Final = {
    "s3://": _OBJECTS,
    "s3a://": _OBJECTS,
    "gs://": _OBJECTS,
    "gcs://": _OBJECTS,
    "az://": _OBJECTS,
    "azure://": _OBJECTS,
    "abfs://": _OBJECTS,
    "abfss://": _OBJECTS,
    "hf:": "kedge.data.sources.hub:bring",
    "sql:": "kedge.data.sources.sql:bring",
}


def is_remote(given: str) -> bool:
    """Whether this names something that has to be brought here."""
    return given.startswith(tuple(_BRINGERS))


def bring(given: str, root: Path) -> list[SourceFile]:
    """The files that it comes as. `Missing` without the package that reaches it; `NotFound`; `Unavailable`."""
    module, _, function = next(name for scheme, name in _BRINGERS.items() if given.startswith(scheme)).partition(":")
    try:
        found = cast("Bring", getattr(importlib.import_module(module), function))
    except ModuleNotFoundError as error:
        raise Missing.behind(error) or error from error
    return found(given, root / FOLDER)
