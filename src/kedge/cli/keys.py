"""`kedge keys`: create, list and revoke API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from kedge.app import keys
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit
from kedge.core.access import Key, Scope

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("keys")
def command() -> None:
    """Create, list and revoke the API keys that open endpoints.

    A key is shown once, when it is created; kedge keeps only its hash.
    """


@command.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(list(Scope)), default=(Scope.ASK,), show_default=True
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="End by itself after so many days.")
@json_option
@click.pass_obj
def create(path: str, name: str, scopes: tuple[Scope, ...], days: float | None, as_json: bool) -> None:
    """Create a key and show it, this once."""
    lifetime = timedelta(days=days) if days else None
    created = keys.create(open_project(path), name, scopes=scopes, lifetime=lifetime)
    shown = {"id": created.key.id, "key": created.secret, "scopes": list(created.key.scopes)}
    emit(shown, as_json=as_json, draw=lambda: f"{created.secret}\n{created.key.id}: keep it, it is not shown again")


@command.command("list")
@json_option
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """List keys: names, scopes and whether they are valid."""
    known = keys.listing(open_project(path))
    told = [
        {"id": k.id, "name": k.name, "scopes": k.scopes, "created": k.created, "expires": k.expires, "state": _state(k)}
        for k in known
    ]
    emit(told, as_json=as_json, draw=lambda: _draw(known))


@command.command()
@click.argument("id")
@json_option
@click.pass_obj
def revoke(path: str, id: str, as_json: bool) -> None:
    """End a key; gateways refuse it within a second."""
    key = keys.revoke(open_project(path), id)
    emit({"id": key.id, "revoked": key.revoked}, as_json=as_json, draw=lambda: f"{key.id} ({key.name}) is revoked")


def _state(key: Key) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= datetime.now(UTC) else "valid"


def _draw(known: Sequence[Key]) -> str:
    if not known:
        return "No keys yet: kedge keys create NAME makes one."
    rows = [(k.id, k.name, ",".join(k.scopes), _state(k), f"{k.created:%Y-%m-%d %H:%M}", k.by) for k in known]
    return columns(("id", "name", "scopes", "state", "created", "by"), rows)
