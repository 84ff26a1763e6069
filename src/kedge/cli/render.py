"""Results on stdout: one JSON object, plain text, or whatever rich can draw."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import click
import msgspec


def emit(value: object, *, as_json: bool, draw: Callable[[], object]) -> None:
    """Print `value` as JSON, or what `draw()` returns: text, or a rich renderable."""
    if as_json:
        sys.stdout.write(to_json(value) + "\n")
        return
    drawn = draw()
    if isinstance(drawn, str):
        click.echo(drawn)
    else:
        importlib.import_module("kedge.cli.paint").paint(drawn)


def to_json(value: object) -> str:
    """The value as one line of JSON; dataclasses are objects, paths and times are text."""
    return msgspec.json.encode(value, enc_hook=_other).decode()


def _other(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")
