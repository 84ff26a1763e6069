"""`kedge keys`: create, list, replace and revoke API keys, and see what they used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from kedge.app import keys
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit
from kedge.core.access import Allowance, Key, Scope, Terms

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("keys")
def command() -> None:
    """Create, list, replace and revoke the API keys that open endpoints.

    A key is shown once, when it is created; kedge keeps only its hash.
    """


@command.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(list(Scope)), default=(Scope.ASK,), show_default=True
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="End by itself after so many days.")
@click.option("--tenant", default="", help="Whose key it is: caches and traces are kept apart by tenant.")
@click.option("--endpoint", "endpoints", multiple=True, help="Open only this endpoint. Can be given several times.")
@click.option("--model", "models", multiple=True, help="Open only this model, as NAME or NAME@VERSION.")
@click.option("--requests-per-minute", type=click.IntRange(min=1))
@click.option("--tokens-per-minute", type=click.IntRange(min=1))
@click.option("--streams", type=click.IntRange(min=1), help="Answers under way at once.")
@click.option("--tokens", type=click.IntRange(min=1), help="Budget of tokens for each period.")
@click.option("--money", type=click.FloatRange(min=0, min_open=True), help="Budget of money for each period.")
@click.option("--period", type=click.Choice(["day", "month"]), default="month", show_default=True)
@json_option
@click.pass_obj
def create(
    path: str, /, name: str, scopes: tuple[Scope, ...], days: float | None, as_json: bool, **options: Any
) -> None:
    """Create a key and show it, this once."""
    lifetime = timedelta(days=days) if days else None
    place = {part: options.pop(part) for part in ("tenant", "endpoints", "models")}
    terms = Terms(**place, allowance=Allowance(**{limit: value for limit, value in options.items() if value}))
    created = keys.create(open_project(path), name, scopes=scopes, lifetime=lifetime, terms=terms)
    emit(_shown(created), as_json=as_json, draw=lambda: _draw_secret(created))


@command.command()
@click.argument("id")
@click.option(
    "--grace-hours",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="How long the old key works on.",
)
@json_option
@click.pass_obj
def rotate(path: str, id: str, grace_hours: float, as_json: bool) -> None:
    """Replace a key by a new one with the same terms, and show it, this once."""
    created = keys.rotate(open_project(path), id, grace=timedelta(hours=grace_hours))
    emit({**_shown(created), "replaces": id}, as_json=as_json, draw=lambda: _draw_secret(created))


@command.command()
@json_option
@click.pass_obj
def usage(path: str, as_json: bool) -> None:
    """Show what keys and tenants have taken of their budgets. Money is in millionths."""
    used = keys.usage(open_project(path))
    rows = [(each.account, each.window, str(each.units)) for each in used]
    drawn = columns(("account", "window", "units"), rows) if rows else "No budget has been used yet."
    emit(used, as_json=as_json, draw=lambda: drawn)


@command.command("list")
@json_option
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """List keys: names, scopes and whether they are valid."""
    known = keys.listing(open_project(path))
    told = [
        {
            "id": k.id,
            "name": k.name,
            "tenant": k.tenant,
            "scopes": k.scopes,
            "created": k.created,
            "expires": k.expires,
            "state": _state(k),
            "terms": k.terms,
        }
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


def _shown(created: keys.CreatedKey) -> dict[str, Any]:
    return {"id": created.key.id, "key": created.secret, "scopes": list(created.key.scopes)}


def _draw_secret(created: keys.CreatedKey) -> str:
    return f"{created.secret}\n{created.key.id}: keep it, it is not shown again"


def _state(key: Key) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and key.expires <= datetime.now(UTC) else "valid"


def _draw(known: Sequence[Key]) -> str:
    if not known:
        return "No keys yet: kedge keys create NAME makes one."
    rows = [
        (k.id, k.name, k.tenant or "-", ",".join(k.scopes), _state(k), f"{k.created:%Y-%m-%d %H:%M}", k.by)
        for k in known
    ]
    return columns(("id", "name", "tenant", "scopes", "state", "created", "by"), rows)
