"""`kedge pin`: keeps a live case in a regression set."""

from __future__ import annotations

import click

from kedge.app import pins
from kedge.app.project import open_project
from kedge.cli.render import emit


@click.command("pin")
@click.argument("receipt")
@click.option("--to", required=True, metavar="NAME", help="The regression set: regressions/NAME.jsonl.")
@click.option("--expect", default=None, metavar="TEXT", help="What should have been answered; else what was.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, receipt: str, to: str, expect: str | None, as_json: bool) -> None:
    """Keep the request of a RECEIPT as a case that every later version is judged by."""
    found = pins.pin(open_project(path), receipt, to=to, expect=expect)
    emit(found, as_json=as_json, draw=lambda: draw(found))


def draw(found: pins.Pin) -> str:
    """What is kept now, and who reads it."""
    cases = f"{found.cases} case{'' if found.cases == 1 else 's'}"
    line = f"{found.file} holds {cases} ({found.digest[7:19]})" + ("" if found.added else ", this one before")
    if found.stages:
        return f"{line}\nkedge run carries out {', '.join(found.stages)} with it"
    return f"{line}\n{found.hint}"
