"""`kedge gc`: reclaim what nothing refers to, and say why the rest is kept."""

from __future__ import annotations

from collections import Counter

import click

from kedge.app import gc
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit
from kedge.core.artifact import Artifact

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SHOWN = 40


@click.group("gc", invoke_without_command=True)
@click.option("--dry-run", is_flag=True, help="Show what would go and why the rest is kept; change nothing.")
@click.option(
    "--grace", type=float, default=gc.GRACE, show_default=True, metavar="SECONDS", help="Keep what is newer than this."
)
@click.option("--traces", type=float, metavar="DAYS", help="Drop traces older than this, too.")
@_JSON
@click.pass_context
def command(ctx: click.Context, dry_run: bool, grace: float, traces: float | None, as_json: bool) -> None:
    """Reclaim what no version, alias, endpoint, running pipeline or hold can be traced back to.

    The newest result of each stage is kept as well, and what the next `kedge run` would use. Less than an hour of
    grace is refused while a run lives.
    """
    if ctx.invoked_subcommand is not None:
        return
    project = open_project(ctx.obj)
    if dry_run:
        plan = gc.plan(project, grace=grace)
        emit(plan, as_json=as_json, draw=lambda: _draw_plan(plan))
    else:
        collected = gc.collect(project, grace=grace, traces_days=traces)
        emit(collected, as_json=as_json, draw=lambda: _draw_collected(collected))


@command.command("hold")
@click.argument("address")
@click.argument("reason")
@_JSON
@click.pass_obj
def hold_command(path: str, address: str, reason: str, as_json: bool) -> None:
    """Protect an artifact, a digest or name@version, and with it all it was made from, until it is released."""
    artifact = gc.hold(open_project(path), address, reason)
    emit(artifact, as_json=as_json, draw=lambda: f"held: {artifact.kind} {artifact.digest}")


@command.command("release")
@click.argument("address")
@_JSON
@click.pass_obj
def release_command(path: str, address: str, as_json: bool) -> None:
    """End a hold."""
    artifact = gc.release(open_project(path), address)
    emit(artifact, as_json=as_json, draw=lambda: f"no longer held: {artifact.kind} {artifact.digest}")


@command.command("delete")
@click.argument("address")
@_JSON
@click.pass_obj
def delete_command(path: str, address: str, as_json: bool) -> None:
    """Delete one artifact; refused, with the reason, while something refers to it."""
    artifact = gc.delete(open_project(path), address)
    emit(artifact, as_json=as_json, draw=lambda: f"deleted: {_described(artifact)}; the next kedge gc frees its bytes")


def _draw_plan(plan: gc.GcPlan) -> str:
    parts = []
    if plan.kept:
        rows = [
            (str(kept.artifact.kind), kept.artifact.digest[7:19], _size(kept.artifact.size), kept.reason)
            for kept in plan.kept
        ]
        parts.append(columns(("kept", "digest", "size", "because of"), _cut(rows)))
    if plan.artifacts:
        rows = [
            (str(each.kind), each.digest[7:19], _size(each.size), "nothing refers to it") for each in plan.artifacts
        ]
        parts.append(columns(("goes", "digest", "size", "why"), _cut(rows)))
    parts.append(
        f"Would free {_size(plan.bytes)} in {_count(plan.blobs, 'blob')} and forget "
        f"{_count(len(plan.artifacts), 'artifact')}; {_size(plan.kept_bytes)} are kept."
    )
    if plan.young_blobs:
        parts.append(f"Too new to go: {_size(plan.young_bytes)} in {_count(plan.young_blobs, 'blob')}.")
    if plan.workdirs:
        parts.append(f"Left by attempts that nothing goes on with: {_count(len(plan.workdirs), 'work folder')}.")
    return "\n\n".join(parts)


def _draw_collected(collected: gc.Collected) -> str:
    kinds = Counter(str(artifact.kind) for artifact in collected.artifacts)
    told = ", ".join(_count(number, kind) for kind, number in sorted(kinds.items())) or "no artifact"
    lines = [f"Freed {_size(collected.bytes)} in {_count(collected.blobs, 'blob')}; forgot {told}."]
    if collected.workdirs:
        lines.append(f"Removed {_count(len(collected.workdirs), 'work folder')}.")
    if collected.traces:
        lines.append(f"Dropped {_count(collected.traces, 'trace')}.")
    return "\n".join(lines)


def _described(artifact: Artifact) -> str:
    return f"{artifact.kind} {artifact.digest} ({_size(artifact.size)})"


def _cut(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """The first rows; --json has them all."""
    more = len(rows) - _SHOWN
    return [*rows[:_SHOWN], ("...", "", "", f"and {more} more: --json has all")] if more > 0 else rows


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
