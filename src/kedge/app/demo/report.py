"""The demo's report as it is kept, so that a second run has nothing to do."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kedge.app.demo.types import DemoReport
from kedge.core.errors import Broken

NAME = "demo.json"


def stored(state: Path) -> DemoReport | None:
    """The report of the demo that ended in this project, if one did."""
    path = state / NAME
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=DemoReport)
    except msgspec.MsgspecError as error:
        raise Broken(f"{path} cannot be read: {error}", hint=f"delete {path} and run kedge demo again") from error


def store(state: Path, report: DemoReport) -> None:
    """Keep the report: written last, wholly or not at all."""
    temporary = state / f".{NAME}"
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(report))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(state / NAME)
