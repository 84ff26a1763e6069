"""`kedge promote`: points an alias at a version that passed its gate."""

from __future__ import annotations

import click

from kedge.app import models
from kedge.app.project import open_project
from kedge.cli.moves import draw_move, told
from kedge.cli.render import emit


@click.command("promote")
@click.argument("address")
@click.option("--alias", default="production", show_default=True, help="The alias to move.")
@click.option("--override", default="", metavar="REASON", help="Promote without the verdict; the reason is audited.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, address: str, alias: str, override: str, as_json: bool) -> None:
    """Point an alias at a version, as schemas@2.

    A protected alias moves only when each gate in force has passed for exactly this bundle. Endpoints that follow the
    alias switch to it without losing a request.
    """
    move = models.promote(open_project(path), address, alias, override=override)
    emit(told(move), as_json=as_json, draw=lambda: draw_move(move))
