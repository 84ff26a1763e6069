"""`kedge batch`: answers a file of requests."""

from __future__ import annotations

from pathlib import Path

import click

from kedge.app.batch import KEY, batch
from kedge.app.project import open_project
from kedge.cli.progress import Live
from kedge.cli.render import emit


@click.command("batch")
@click.argument("source", metavar="IN.JSONL", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("output", metavar="OUT.JSONL", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--to",
    default="",
    metavar="TARGET",
    help="A version as support@7 (its engine is started here), an endpoint's name or its URL; without it the only "
    "endpoint that runs.",
)
@click.option(
    "--key", default=KEY, show_default=True, metavar="REFERENCE", help="An endpoint's key: env:NAME, file:PATH."
)
@click.option("--at-once", default=16, show_default=True, type=click.IntRange(1, 1024), help="Requests at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, source: Path, output: Path, to: str, key: str, at_once: int, as_json: bool) -> None:
    """Answer every request of a file, in the shape of OpenAI's Batch API.

    A line of IN.JSONL has custom_id, method, url and body; a line of OUT.JSONL has custom_id, response and error, and
    the receipt of the answer in the body. Stopped at any moment, it goes on when it is run again; OUT.JSONL is there
    once every line is answered.
    """
    with Live() as progress:
        done = batch(open_project(path), source, output, to=to, key=key, at_once=at_once, progress=progress)
    kept = f", {done.kept} were answered before" if done.kept else ""
    refused = f"\n{done.refused} were refused: see their 'error'" if done.refused else ""
    emit(done, as_json=as_json, draw=lambda: f"{done.output}  {done.requests} requests{kept}{refused}")
