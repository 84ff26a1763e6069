"""`kedge data restore`."""

from __future__ import annotations

import click

from kedge.app.project import open_project
from kedge.app.restore import restore
from kedge.cli.render import emit


@click.command("restore")
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, dataset: str, as_json: bool) -> None:
    """Make an earlier version of a dataset the newest again.

    A new version with its content comes behind the newest; no row is written, and no version is lost.
    """
    done = restore(open_project(path), dataset)
    said = f"{done.version} has the {done.rows:,} rows of {done.restored}" + ("" if done.made else " already")
    emit(done, as_json=as_json, draw=lambda: said)
