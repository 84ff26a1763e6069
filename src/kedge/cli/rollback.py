"""`kedge rollback`: returns to the exact previous bundle."""

from __future__ import annotations

import click

from kedge.app import models, rollouts
from kedge.app.project import open_project
from kedge.cli.moves import draw_move, told
from kedge.cli.render import emit
from kedge.core.rollout import Rollout


@click.command("rollback")
@click.argument("target")
@click.option("--reason", default="", help="Why, for the history and the audit chain.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, target: str, reason: str, as_json: bool) -> None:
    """Return an alias to the exact bundle that was in force before.

    TARGET is an alias (schemas@staging), a model (its production) or an endpoint (the alias that it follows). While a
    rollout to an endpoint is under way, its name takes back that first: all traffic is the stable version's again.
    """
    project = open_project(path)
    rollout = rollouts.take_back(project, target, reason=reason)
    if rollout is not None:
        emit(rollout, as_json=as_json, draw=lambda: _taken_back(rollout))
        return
    move = models.rollback(project, target, reason=reason)
    emit(told(move), as_json=as_json, draw=lambda: draw_move(move))


def _taken_back(rollout: Rollout) -> str:
    back = click.style(f"{rollout.model}@{rollout.before}", bold=True)
    return f"the rollout of {rollout.address} is ended: {rollout.endpoint} answers with {back} alone"
