"""`kedge init`: make a project of a folder."""

from __future__ import annotations

from pathlib import Path

import click

from kedge.app.initialise import CI, Initialised, initialise, initialise_ci
from kedge.cli.render import emit


@click.command("init")
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--data", default="rows.jsonl", show_default=True, metavar="FILE", help="Your JSON Lines.")
@click.option("--name", default="", help="What the project and its model are called.  [default: the folder's name]")
@click.option("--ci", type=click.Choice(list(CI)), help="Write the file of a build server to a project instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, /, folder: str | None, data: str, name: str, ci: str | None, as_json: bool) -> None:
    """Write a commented kedge.toml for your own JSON Lines. Nothing is overwritten."""
    if ci is not None:
        made = initialise_ci(Path(folder or path), ci)
        emit(made, as_json=as_json, draw=lambda: f"wrote {made.written[0]} in {made.folder}; its head says what to set")
        return
    result = initialise(Path(folder or path), data=data, name=name)
    emit(result, as_json=as_json, draw=lambda: _draw(result))


def _draw(result: Initialised) -> str:
    wrote = f"wrote {' and '.join(result.written)} in {result.folder}"
    if result.found:
        return f"{wrote}\nkedge run --explain says what it will do, kedge run does it"
    row = '{"input": "...", "target": "..."}'
    return f"{wrote}\nput your rows in {result.data}, one {row} a line; then kedge run"
