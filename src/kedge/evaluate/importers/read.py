"""Reads an evaluation of another tool, whichever it is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from kedge.core.errors import Invalid
from kedge.evaluate.importers.inspect import is_inspect, read_inspect
from kedge.evaluate.importers.lm_eval import read_lm_eval
from kedge.evaluate.importers.types import Foreign, as_report
from kedge.evaluate.types import Report


class Read(NamedTuple):
    """What was found, and the evaluation that it makes."""

    foreign: Foreign
    report: Report


def read(path: Path) -> Read:
    """What lm-evaluation-harness (a folder, results or samples) or Inspect (a log in JSON) wrote. `Invalid`."""
    if path.suffix == ".eval":
        raise Invalid(
            f"{path.name} is a log in Inspect's own format",
            address=str(path),
            hint=f"inspect log convert --to json --output-dir DIR {path.name}",
        )
    foreign = read_inspect(path) if _is_inspect(path) else read_lm_eval(path)
    return Read(foreign, as_report(foreign))


def _is_inspect(path: Path) -> bool:
    if path.is_dir() or path.suffix != ".json":
        return False
    try:
        return is_inspect(msgspec.json.decode(path.read_bytes()))
    except msgspec.DecodeError as error:
        raise Invalid(f"{path} is not JSON: {error}", address=str(path)) from error
