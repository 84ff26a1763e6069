"""`kedge rollout`: a version on its way to an endpoint, step by step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from kedge.app import released, rollouts, shadowed, watch
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit
from kedge.core.release import Release
from kedge.core.rollout import Reading, Rollout, RolloutEvent

COLOURS = {
    "running": "yellow",
    "paused": "yellow",
    "promoted": "green",
    "withdrawn": "red",
    "aborted": "red",
    "fine": "green",
    "worse": "red",
    "undecided": "yellow",
}
WIDTH = 96

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
reason = click.option("--reason", default="", help="Why, for the history and the audit chain.")
endpoint = click.argument("endpoint", default="")


@click.group("rollout")
def command() -> None:
    """Send a version to an endpoint step by step: as a shadow, to some callers, to all.

    The plan is [endpoints.NAME.rollout] in kedge.toml. The gateway compares the version with the stable one on every
    answer, and promotes or withdraws it by itself.
    """


@command.command("start")
@click.argument("endpoint")
@click.argument("address", metavar="MODEL@VERSION")
@click.option("--override", default="", metavar="REASON", help="Start without the verdict; the reason is audited.")
@as_json
@click.pass_obj
def start(path: str, endpoint: str, address: str, override: str, as_json: bool) -> None:
    """Begin with the first step of the plan."""
    found = rollouts.start(open_project(path), endpoint, address, override=override)
    emit(found, as_json=as_json, draw=lambda: draw_rollout(found))


@command.command("status")
@endpoint
@as_json
@click.pass_obj
def status(path: str, endpoint: str, as_json: bool) -> None:
    """Show the rollout under way, or the last one: what is known, and what it waits for."""
    found = watch.status(open_project(path), endpoint)
    emit(found, as_json=as_json, draw=lambda: draw_status(found))


@command.command("pause")
@endpoint
@reason
@as_json
@click.pass_obj
def pause(path: str, endpoint: str, reason: str, as_json: bool) -> None:
    """Hold a rollout where it is: its share stays, and nothing is decided."""
    _do(rollouts.pause, path, endpoint, reason, as_json)


@command.command("resume")
@endpoint
@reason
@as_json
@click.pass_obj
def resume(path: str, endpoint: str, reason: str, as_json: bool) -> None:
    """Let a paused rollout go on."""
    _do(rollouts.resume, path, endpoint, reason, as_json)


@command.command("abort")
@endpoint
@reason
@as_json
@click.pass_obj
def abort(path: str, endpoint: str, reason: str, as_json: bool) -> None:
    """End a rollout: all traffic is the stable version's again."""
    _do(rollouts.abort, path, endpoint, reason, as_json)


@command.command("promote")
@endpoint
@reason
@as_json
@click.pass_obj
def promote(path: str, endpoint: str, reason: str, as_json: bool) -> None:
    """End a rollout: all traffic is the new version's from now on. It needs the permission of any promotion."""
    _do(rollouts.promote, path, endpoint, reason, as_json)


@command.command("diffs")
@endpoint
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many to show.")
@as_json
@click.pass_obj
def diffs(path: str, endpoint: str, limit: int, as_json: bool) -> None:
    """List where the shadow said something else than the version in force."""
    found = shadowed.diffs(open_project(path), endpoint, limit=limit)
    emit(found, as_json=as_json, draw=lambda: draw_diffs(found))


@command.command("history")
@endpoint
@click.option("--at", "moment", default="", metavar="TIME", help="What answered then, as '2026-03-03 10:00'.")
@as_json
@click.pass_obj
def history(path: str, endpoint: str, moment: str, as_json: bool) -> None:
    """List what was released to an endpoint and every rollout; or what was in force at a moment."""
    project = open_project(path)
    if moment:
        then = released.in_force(project, endpoint, released.read_moment(moment))
        emit(then, as_json=as_json, draw=lambda: _releases(list(then.releases.values())))
        return
    found = released.history(project, endpoint)
    emit(found, as_json=as_json, draw=lambda: draw_history(found))


@command.command("watch")
@endpoint
@click.option("--seconds", default=1.0, show_default=True, type=click.FloatRange(0.05), help="How often to look.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def watch_rollout(path: str, endpoint: str, seconds: float, as_json: bool) -> None:
    """Look after a rollout until it ends, and say what is decided. A gateway that serves the endpoint does the same."""
    said = ""
    for look in watch.watch(open_project(path), endpoint, seconds=seconds):
        now = look.decision.reason if look.decision else "another process decides"
        if now != said:
            emit(look, as_json=as_json, draw=lambda now=now: now)  # type: ignore[misc]  # bound for this round
            said = now


def _do(act: Callable[..., Rollout], path: str, endpoint: str, reason: str, as_json: bool) -> None:
    found = act(open_project(path), endpoint, reason=reason)
    emit(found, as_json=as_json, draw=lambda: draw_rollout(found))


def draw_rollout(rollout: Rollout) -> str:
    """One or two lines."""
    name = click.style(rollout.address, bold=True)
    line = f"{name} to {rollout.endpoint}: {_word(rollout.state)}"
    if rollout.is_under_way:
        line += f" at step {rollout.step + 1} of {len(rollout.plan.steps)}, {rollout.here}"
    return f"{line}\n{rollout.reason}" if rollout.reason else line


def draw_status(found: watch.RolloutStatus) -> str:
    """The rollout, its measures and what happened."""
    parts = [draw_rollout(found.rollout)]
    if found.decision is not None:
        parts.append(f"{found.answers:,} answers at this step; {found.decision.action}: {found.decision.reason}")
    if found.readings:
        parts += ["", _readings(found.readings)]
    return "\n".join([*parts, "", *(_event(event) for event in found.events)])


def draw_diffs(found: shadowed.ShadowReport) -> str:
    """How often they agree, and where they do not."""
    lines = [
        (
            f"{found.rollout.address} said the same as {found.rollout.model}@{found.rollout.before} "
            f"{found.same:,} times of {found.compared:,}; {found.failed:,} failed"
        )
    ]
    for diff in found.diffs:
        lines += [
            "",
            click.style(diff.receipt, fg="cyan"),
            f"  asked   {_cut(diff.prompt)}",
            click.style(f"  - {_cut(diff.answer)}", fg="red"),
            click.style(f"  + {_cut(diff.shadowed)}", fg="green") if not diff.error else f"  failed: {diff.error}",
        ]
    return "\n".join(lines)


def draw_history(found: released.EndpointHistory) -> str:
    """Releases, and below them the rollouts."""
    parts = [_releases(list(found.releases))]
    for past in found.rollouts:
        parts += ["", draw_rollout(past.rollout), *(_event(event) for event in past.events)]
    return "\n".join(parts)


def _releases(releases: list[Release]) -> str:
    rows = [
        [_when(r.at), r.role, f"{r.model}@{r.version}", f"{r.share:.0%}", r.bundle[7:19], r.by, _cut(r.reason, 48)]
        for r in releases
    ]
    return columns(["at", "role", "version", "share", "bundle", "by", "why"], rows)


def _readings(readings: tuple[Reading, ...]) -> str:
    rows = [[reading.measure, _word(reading.standing), *_numbers(reading)] for reading in readings]
    return columns(["measure", "", "before", "now", "p no worse", "p too bad", "margin"], rows)


def _numbers(reading: Reading) -> list[Any]:
    def say(value: float, answers: int) -> str:
        return f"{value:.4g} {reading.unit} of {answers:,}" if reading.unit else f"{value:.1%} of {answers:,}"

    return [
        say(reading.old, reading.old_answers),
        say(reading.new, reading.new_answers),
        f"{reading.p_worse:.2g}",
        f"{reading.p_fine:.2g}",
        f"{reading.margin:.0%}",
    ]


def _event(event: RolloutEvent) -> str:
    return f"{click.style(_when(event.at), dim=True)}  {event.action:<9}  {event.by}  {event.reason}".rstrip()


def _word(word: str) -> str:
    return click.style(word, fg=COLOURS.get(word))


def _when(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cut(text: str, width: int = WIDTH) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."
