"""`kedge rollback`: returns to the exact previous bundle."""

from __future__ import annotations

import click

from kedge.app import models
from kedge.app.project import open_project
from kedge.cli.moves import draw_move, told
from kedge.cli.render import emit


@click.command("rollback")
@click.argument("target")
@click.option("--reason", default="", help="Why, for the history and the audit chain.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, target: str, reason: str, as_json: bool) -> None:
    """Return an alias to the exact bundle that was in force before.

    TARGET is an alias (schemas@staging), a model (its production) or an endpoint (the alias that it follows).
    """
    move = models.rollback(open_project(path), target, reason=reason)
    emit(told(move), as_json=as_json, draw=lambda: draw_move(move))
