"""`kedge feedback`: says how good an answer was."""

from __future__ import annotations

import click

from kedge.app import feedback
from kedge.app.project import open_project
from kedge.cli.render import emit


@click.command("feedback")
@click.argument("receipt")
@click.option("--value", required=True, type=click.FloatRange(0, 1), help="From 0 (bad) to 1 (good).")
@click.option("--name", default=feedback.NAME, show_default=True, help="What is rated, as the rollout plan names it.")
@click.option("--comment", default="", help="Anything worth knowing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, receipt: str, value: float, name: str, comment: str, as_json: bool) -> None:
    """Say how good the answer of a RECEIPT was. Callers do the same with POST /v1/feedback."""
    said = feedback.give(open_project(path), receipt, value, name=name, comment=comment)
    emit(said, as_json=as_json, draw=lambda: f"{said.name} {said.value:g} for trace {said.trace}")
