"""`kedge gate`: what the gates say of the newest versions."""

from __future__ import annotations

from pathlib import Path

import click

from kedge.app.gate import GateReport, Judgement, gate_report, write_reports
from kedge.app.project import open_project
from kedge.cli.render import emit

COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}
EXIT = {"pass": 0, "fail": 3, "undecided": 9}
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("gate")
@click.argument("address", default="")
@click.option("--ci", is_flag=True, help="Exit with 0 if all pass, 3 if one fails, 9 if it is undecided.")
@click.option("--junit", type=FILE, metavar="FILE", help="Write the findings as JUnit XML.")
@click.option("--sarif", type=FILE, metavar="FILE", help="Write the findings as SARIF 2.1.0.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write the findings as Markdown, for a merge request.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, /, address: str, ci: bool, as_json: bool, **files: Path | None) -> None:
    """Say what each gate in force found about a version (schemas@2), or about the newest of every model.

    Nothing is run: the verdicts are those on record. A version without a verdict, or whose verdict no longer counts
    because the evaluation set or the version it was compared with has changed, is undecided.
    """
    report = gate_report(open_project(ctx.obj), address)
    written = write_reports(report, {name: file for name, file in files.items() if file})
    emit({**told(report), "files": written}, as_json=as_json, draw=lambda: draw(report))
    if ci:
        ctx.exit(EXIT[report.outcome])


def told(report: GateReport) -> dict[str, object]:
    """The report as one object."""
    return {"outcome": report.outcome, "judgements": report.judgements}


def draw(report: GateReport) -> str:
    """Each gate's findings on each version."""
    return "\n\n".join(_draw(judgement) for judgement in report.judgements)


def _draw(judgement: Judgement) -> str:
    said = click.style(str(judgement.outcome), fg=COLOURS[judgement.outcome], bold=True)
    lines = [f"{click.style(judgement.version, bold=True)}: {said} by gate {judgement.gate}"]
    lines += [f"  {doubt}" for doubt in judgement.doubts]
    lines += [f"  {click.style(f'{f.outcome:<9}', fg=COLOURS[f.outcome])}  {f.text}" for f in judgement.findings]
    lines += [f"  {note}" for note in judgement.notes]
    return "\n".join(lines)
