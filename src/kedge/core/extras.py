"""Which extra of kedge brings which package, so that a missing one is named with the line that installs it."""

from __future__ import annotations

from kedge.core.errors import Missing

EXTRAS = {
    "accelerate": "train",
    "jinja2": "serve",
    "numpy": "data",
    "openai": "demo",
    "peft": "train",
    "psycopg": "postgres",
    "pyarrow": "data",
    "rensa": "data",
    "safetensors": "train",
    "scipy": "evaluate",
    "sklearn": "evaluate",
    "tokenizers": "train",
    "torch": "train",
    "transformers": "train",
}


def missing(error: ModuleNotFoundError) -> Missing | None:
    """The error with its install line, for a module that an extra brings; None for any other."""
    package = (error.name or "").partition(".")[0]
    return Missing.extra(package, EXTRAS[package]) if package in EXTRAS else None
