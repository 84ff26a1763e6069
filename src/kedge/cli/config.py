"""`kedge config`: each setting and where it comes from."""

from __future__ import annotations

import json

import click

from kedge.app import configuration
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit


@click.group("config")
def command() -> None:
    """Show each setting and where it comes from.

    Defaults come first, then kedge.toml, then environment variables (KEDGE__GATEWAY__MAX_TOKENS=512), then --set.
    """


@command.command("show")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a setting, to see what it does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(path: str, sets: tuple[str, ...], as_json: bool) -> None:
    """Print every value with its origin. Secrets are shown as the references they are, passwords not at all."""
    result = configuration.show(open_project(path, sets=sets))
    emit(result, as_json=as_json, draw=lambda: _draw(result))


def _draw(result: configuration.Configuration) -> str:
    rows = [(each.key, json.dumps(each.value, ensure_ascii=False), each.origin) for each in result.settings]
    return columns(("setting", "value", "from"), rows)
