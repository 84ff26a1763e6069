"""`kedge status`: the whole line on one screen."""

from __future__ import annotations

from itertools import islice

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kedge.app.project import open_project
from kedge.app.status import AliasStatus, EndpointStatus, StageStatus, Status, status
from kedge.cli.progress import written
from kedge.cli.render import emit

COLOURS = {
    "succeeded": "green",
    "pass": "green",
    "serving": "green",
    "running": "yellow",
    "undecided": "yellow",
    "swapping": "yellow",
    "failed": "red",
    "fail": "red",
    "interrupted": "red",
    "unhealthy": "red",
    "down": "dim",
    "not yet run": "dim",
}


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, as_json: bool) -> None:
    """Draw the whole line: stages, verdicts, aliases, endpoints and their health."""
    result = status(open_project(path))
    emit(result, as_json=as_json, draw=lambda: draw(result))


def draw(result: Status) -> RenderableType:
    """The line from the first stage to the endpoints."""
    parts: list[RenderableType] = [Text(result.project, style="bold"), _stages(result.stages)]
    if result.aliases:
        parts.append(_aliases(result.aliases))
    if result.endpoints:
        parts.append(_endpoints(result.endpoints))
    if not result.aliases:
        parts.append(Text("Nothing is registered yet: kedge run carries the line on.", style="dim"))
    return Group(*parts)


def _word(word: str) -> Text:
    return Text(word, style=COLOURS.get(word, ""))


def _stages(stages: tuple[StageStatus, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "stage", "state", "run", "newest artifact", "figures"):
        table.add_column(column)
    for i, stage in enumerate(stages):
        mark = "┌" if i == 0 else "└" if i == len(stages) - 1 else "├"
        run = stage.run
        if run is None:
            table.add_row(mark, stage.stage, _word("not yet run"), "", "", "")
            continue
        outputs = "  ".join(f"{port} {digest[7:19]}" for port, digest in run.outputs.items())
        figures = written(dict(islice(run.metrics.items(), 3)))
        table.add_row(mark, stage.stage, _word(run.status), run.id[:12], outputs, figures)
    return table


def _aliases(aliases: tuple[AliasStatus, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    for column in ("alias", "version", "verdict", "bundle", "since", "by"):
        table.add_column(column)
    for alias in aliases:
        move = alias.move
        verdict = _word(alias.verdict.outcome) if alias.verdict else Text("none", style="dim")
        if move.override:
            verdict.append(" (overridden)", style="red")
        bundle = alias.version.bundle[7:19] if alias.version else ""
        name = f"{move.model}@{move.alias}"
        table.add_row(name, f"{move.model}@{move.after}", verdict, bundle, f"{move.at:%Y-%m-%d %H:%M}", move.by)
    return table


def _endpoints(endpoints: tuple[EndpointStatus, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("endpoint", "health", "follows", "released", "last 5 minutes", "url"):
        table.add_column(column)
    for endpoint in endpoints:
        bound = endpoint.endpoint
        released = "  ".join(f"{role} {r.model}@{r.version} {r.bundle[7:19]}" for role, r in endpoint.releases.items())
        urls = "  ".join(gateway.url for gateway in endpoint.gateways)
        follows = f"{bound.model}@{bound.alias}"
        table.add_row(bound.name, _word(endpoint.health), follows, released, _traffic(endpoint), urls)
    return table


def _traffic(endpoint: EndpointStatus) -> str:
    seen, latency = endpoint.traffic, endpoint.traffic.latency_ms
    if not seen.requests:
        return "no requests"
    return (
        f"{seen.requests:,} requests, {seen.error_rate:.1%} errors, p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms"
    )
