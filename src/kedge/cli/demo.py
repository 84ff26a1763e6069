"""`kedge demo`: the main job."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kedge.app.demo.line import demo
from kedge.app.demo.types import DemoReport, Say
from kedge.cli.progress import Live
from kedge.cli.render import emit


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="kedge-demo")
@click.option("--port", default=0, show_default="a free one", help="Port of the endpoint on 127.0.0.1.")
@click.option("--keep-serving", is_flag=True, help="Leave the endpoint up and print its URL and key.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def command(folder: Path, port: int, keep_serving: bool, as_json: bool) -> None:
    """Carry a model from raw text to a watched endpoint, and take a worse one back (about 7 minutes on 2 cores).

    The text is the source of the Python standard library that runs this. The model reads a function's header and
    writes its call schema as JSON. A parser does that exactly: it shows learning, gating and tracing on ground truth.
    """
    with Live() as bars:
        report = demo(folder, say=_teller(bars), progress=bars, port=port, keep_serving=keep_serving)
    emit(report, as_json=as_json, draw=lambda: draw(report))


def _teller(bars: Live) -> Say:
    def say(heading: str, sentence: str) -> None:
        bars.say(click.style(f"{heading:>9}  ", fg="cyan", bold=True) + sentence)

    return say


def draw(report: DemoReport) -> RenderableType:
    """What happened, the numbers, and how to go on."""
    parts: list[RenderableType] = []
    if report.repeated:
        parts.append(Text(f"Nothing to do: this demo ended in {report.folder} already. It said:", style="bold"))
    parts += [_happened(report), _go_on(report)]
    return Group(*parts)


def _happened(report: DemoReport) -> Table:
    low, high = report.accuracy_interval
    best = max(report.baselines, key=report.baselines.__getitem__)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("exact match", f"{report.accuracy:.3f}  [{low:.3f}, {high:.3f}]")
    table.add_row("best baseline", f"{report.baseline:.3f}  ({best})")
    table.add_row("verdict", report.verdict)
    table.add_row("bundle", report.bundle)
    table.add_row("receipt", report.receipt)
    table.add_row("refused", report.refused)
    table.add_row("rolled back to", report.rolled_back_to)
    table.add_row("requests", f"{report.requests} while bundles changed, {report.failed_requests} failed")
    table.add_row("took", f"{report.seconds:.0f} s")
    return table


def _go_on(report: DemoReport) -> RenderableType:
    lines = [
        ("kedge status", "the whole line on one screen"),
        (f"kedge trace {report.receipt[:24]}...", "from an answer to the rows behind it"),
        ("kedge models history schemas", "who let what out, on what evidence"),
        ("kedge audit verify", "the chain of every change, checked"),
    ]
    if report.url:
        lines.insert(0, (f"curl {report.url}/v1/models -H 'Authorization: Bearer {report.key}'", "it is still serving"))
    else:
        lines.append(("kedge serve schemas", "the endpoint again"))
    table = Table(box=None, show_header=False, pad_edge=False, title=f"cd {report.folder}", title_justify="left")
    for row in lines:
        table.add_row(*row)
    return table
