"""`kedge runs`: list and search runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from kedge.app import runs
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.progress import span, written
from kedge.cli.render import emit
from kedge.core.ledger import RunQuery
from kedge.core.run import Run

COLOURS = {"succeeded": "green", "running": "yellow", "failed": "red", "interrupted": "red"}


@click.command("runs")
@click.option("--where", default="", metavar="FILTER", help="As \"metrics.loss < 0.3 and stage = 'train'\".")
@click.option("--order", default="-started", show_default=True, metavar="FIELD", help="A field; - for descending.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, where: str, order: str, limit: int, as_json: bool) -> None:
    """List the newest runs, or search them by stage, step, status, seconds, params.NAME and metrics.NAME."""
    found = runs.search(open_project(path), RunQuery(where=where, order=order, limit=limit))
    emit({"runs": found}, as_json=as_json, draw=lambda: draw_runs(found))


def draw_runs(found: Sequence[Run]) -> str:
    """Runs as a table, with their first three metrics."""
    if not found:
        return "No run is like that."
    rows = []
    for run in found:
        figures = written(dict(list(run.metrics.items())[:3]))
        took = span((run.ended - run.started).total_seconds()) if run.ended else ""
        state = click.style(str(run.status), fg=COLOURS[run.status])
        started = f"{run.started.astimezone():%Y-%m-%d %H:%M:%S}"
        rows.append((run.id, run.stage, run.spec.name, state, started, took, figures))
    return columns(("run", "stage", "step", "", "started", "time", "figures"), rows)
