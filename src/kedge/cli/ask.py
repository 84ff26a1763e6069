"""`kedge ask`: puts a question to an endpoint."""

from __future__ import annotations

import click

from kedge.app.ask import KEY, ask
from kedge.app.project import open_project
from kedge.cli.render import emit


@click.command("ask")
@click.argument("text")
@click.option("--endpoint", default="", help="The endpoint; not needed when there is one.")
@click.option(
    "--key", default=KEY, show_default=True, metavar="REFERENCE", help="Where the key is: env:NAME, file:PATH."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, text: str, endpoint: str, key: str, as_json: bool) -> None:
    """Ask a running endpoint; the answer is shown as it comes, with the receipt that `kedge trace` walks back."""
    piece = None if as_json else lambda said: click.echo(said, nl=False)
    answered = ask(open_project(path), text, endpoint=endpoint, key=key, piece=piece)
    emit(answered, as_json=as_json, draw=lambda: f"\n\nmodel    {answered.model}\nreceipt  {answered.receipt}")
