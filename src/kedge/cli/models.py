"""`kedge models`: models, their versions, aliases and history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from kedge.app import models, past
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit

MOVED = {"set": "white", "promoted": "green", "overridden": "yellow", "rolled back": "yellow"}
COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("models", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List models, and look at their versions, aliases and history."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(listing, name="", as_json=as_json)


@command.command("list")
@click.argument("name", default="")
@as_json
@click.pass_obj
def listing(path: str, name: str, as_json: bool) -> None:
    """List the versions of a model, or of all, with their aliases and the newest verdict on each."""
    found = models.listing(open_project(path), name)
    emit({"models": found}, as_json=as_json, draw=lambda: draw_listing(found))


@command.command("show")
@click.argument("address")
@as_json
@click.pass_obj
def show(path: str, address: str, as_json: bool) -> None:
    """Show a version (the newest, if none is named) with its bundle and every verdict on it."""
    view = models.show(open_project(path), address)
    emit(view, as_json=as_json, draw=lambda: draw_view(view))


@command.command("history")
@click.argument("address")
@click.option("--at", metavar="TIME", help="What was in force then, as 2026-03-03T10:00; endpoint:NAME too.")
@as_json
@click.pass_obj
def history(path: str, address: str, at: str | None, as_json: bool) -> None:
    """Show every decision about an alias (schemas@production), or about every alias of a model (schemas)."""
    project = open_project(path)
    if at is not None:
        when = past.moment(at)
        found = past.in_force(project, address, when)
        emit({"at": when, "in_force": found}, as_json=as_json, draw=lambda: draw_in_force(found, address, when))
        return
    made = past.decisions(project, address)
    moves = models.history(project, address) if any(each.what in MOVED for each in made) else []
    emit({"history": moves, "decisions": made}, as_json=as_json, draw=lambda: draw_history(made))


@command.command("register")
@click.argument("name")
@click.argument("bundle")
@click.option("--alias", default="candidate", show_default=True, help="The alias to point at it.")
@as_json
@click.pass_obj
def register(path: str, name: str, bundle: str, alias: str, as_json: bool) -> None:
    """Register a bundle by its digest as the model's next version."""
    version = models.register(open_project(path), name, bundle, alias=alias)
    emit(version, as_json=as_json, draw=lambda: f"{version.address} is {version.bundle}")


@command.command("delete")
@click.argument("address")
@as_json
@click.pass_obj
def delete(path: str, address: str, as_json: bool) -> None:
    """Delete a version that no alias and no endpoint refers to; `kedge gc` reclaims its bytes."""
    version = models.delete(open_project(path), address)
    emit(version, as_json=as_json, draw=lambda: f"{version.address} is deleted; kedge gc reclaims what it held")


@command.command("export")
@click.argument("address")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def export(path: str, address: str, folder: Path, as_json: bool) -> None:
    """Write a version's files and card to an empty folder, in Hugging Face layout."""
    written = models.export(open_project(path), address, folder)
    files = ", ".join(written.files)
    emit(written, as_json=as_json, draw=lambda: f"{written.address} is in {written.folder}: {files}")


def draw_listing(found: Sequence[models.ModelLine]) -> str:
    """Versions as a table."""
    if not found:
        return "No model is registered; a register stage does it, or kedge models register."
    rows = [
        (
            line.version.address,
            ", ".join(line.aliases),
            click.style(line.outcome or "not judged", fg=COLOURS.get(line.outcome)),
            line.version.bundle[:19],
            f"{line.version.registered.astimezone():%Y-%m-%d %H:%M}",
            line.version.by,
        )
        for line in found
    ]
    return columns(("version", "aliases", "verdict", "bundle", "registered", "by"), rows)


def draw_view(view: models.ModelView) -> str:
    """A version, then what each verdict found."""
    version = view.version
    facts = [
        ("version", click.style(version.address, bold=True)),
        ("aliases", ", ".join(view.aliases) or "none"),
        ("bundle", f"{version.bundle}  ({view.size:,} bytes)"),
        ("model", version.model),
        ("card", version.card or "none"),
        ("registered", f"{version.registered.astimezone():%Y-%m-%d %H:%M:%S} by {version.by}"),
        ("run", version.run or "registered by hand"),
        ("prompt", repr(view.bundle["prompt"])),
    ]
    lines = [f"{name:<11} {value}" for name, value in facts]
    for verdict in view.verdicts:
        said = click.style(str(verdict.outcome), fg=COLOURS[verdict.outcome], bold=True)
        lines += ["", f"verdict {said} by gate {verdict.detail.get('gate', '')} {verdict.gate[:19]}"]
        lines += [f"  {click.style(f'{f.outcome:<9}', fg=COLOURS[f.outcome])}  {f.text}" for f in verdict.findings]
    return "\n".join(lines)


def draw_history(made: Sequence[past.Decision]) -> str:
    """Decisions as a table, oldest first."""
    rows = [
        (
            f"{each.at.astimezone():%Y-%m-%d %H:%M:%S}",
            each.alias,
            each.version,
            click.style(each.what, fg=MOVED.get(each.what, "red" if each.what == "refused" else "yellow")),
            each.by,
            f"about {each.needed:,} cases would tell" if each.needed else each.why.partition("\n")[0],
        )
        for each in made
    ]
    return columns(("at", "alias", "version", "", "by", "why"), rows)


def draw_in_force(found: Sequence[past.InForce], address: str, when: datetime) -> str:
    """What was in force at a moment."""
    if not found:
        return f"nothing was in force for {address} at {when:%Y-%m-%d %H:%M:%S}"
    rows = [
        (
            each.name,
            each.version,
            each.bundle[:19] or "deleted since",
            f"{each.since.astimezone():%Y-%m-%d %H:%M:%S}",
            each.by,
        )
        for each in found
    ]
    return columns(("name", "version", "bundle", "since", "by"), rows)
