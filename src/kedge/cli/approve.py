"""`kedge approve`: a person's word that a version may take a protected alias."""

from __future__ import annotations

import click

from kedge.app.approvals import approve
from kedge.app.project import open_project
from kedge.cli.render import emit
from kedge.core.model import Approval


@click.command("approve")
@click.argument("address")
@click.option("--reason", required=True, help="What you looked at; it is audited.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, address: str, reason: str, as_json: bool) -> None:
    """Approve a version, as schemas@2, for a gate that requires approvals.

    Nobody approves a version that they registered themselves.
    """
    given = approve(open_project(path), address, reason=reason)
    emit(given, as_json=as_json, draw=lambda: _draw(given))


def _draw(given: Approval) -> str:
    return f"{click.style(given.address, bold=True)} is approved by {given.by}: {given.reason}"
