"""`kedge replay`: answers a stored request again."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from kedge.app import replay
from kedge.app.project import open_project
from kedge.cli.render import emit


@click.command("replay")
@click.argument("receipt")
@click.option("--on", default="", metavar="MODEL@VERSION|BUNDLE", help="What is to answer; else what answered then.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, receipt: str, on: str, as_json: bool) -> None:
    """Answer the request of a RECEIPT again, with its own sampling and seed, and say where the answer differs."""
    found = replay.replay(open_project(path), receipt, on=on)
    emit(told(found), as_json=as_json, draw=lambda: draw(found))


def told(found: replay.Replay) -> dict[str, Any]:
    """The replay as one object, with its outcome."""
    return {**msgspec.to_builtins(found), "identical": found.identical}


def draw(found: replay.Replay) -> str:
    """The outcome, and each answer that is another."""
    word = click.style("identical", fg="green") if found.identical else click.style("different", fg="yellow")
    lines = [f"{word}  answered by {found.on} ({found.bundle[7:19]}), trace {found.trace}"]
    for number, choice in enumerate(found.choices, 1):
        if choice.error:
            lines.append(f"answer {number} failed: {choice.error}")
        elif choice.at >= 0:
            before, after = choice.parting
            lines += [
                f"answer {number} differs from character {choice.at} on",
                click.style(f"  - ...{before!r}...", fg="red"),
                click.style(f"  + ...{after!r}...", fg="green"),
            ]
    return "\n".join([*lines, *found.notes])
