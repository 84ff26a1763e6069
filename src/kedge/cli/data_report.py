"""`kedge data report` and `kedge data subject`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedge.app import reports
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command("report")
@click.argument("dataset")
@click.option("--against", default="", metavar="OTHER", help="Say how it differs from another version or dataset.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it as a page.")
@json_option
@click.pass_obj
def report(path: str, dataset: str, against: str, html: Path | None, as_json: bool) -> None:
    """Report what a dataset is like: distributions, labels, outliers, and drift against another.

    The page needs nothing but itself: no script, nothing loaded from elsewhere.
    """
    found = reports.report(open_project(path), dataset, against=against, html=html)
    emit(found, as_json=as_json, draw=lambda: _draw_report(found, html))


@click.command("subject")
@click.argument("content", metavar="IDENTIFIER")
@json_option
@click.pass_obj
def subject(path: str, content: str, as_json: bool) -> None:
    """Find the rows in which a person was found: by e-mail address, telephone or any number that was looked for."""
    found = reports.subject(open_project(path), content)
    emit(found, as_json=as_json, draw=lambda: _draw_subject(found))


def _draw_report(found: Any, html: Path | None) -> str:
    measures = [
        (each.name, *(f"{each.quantiles[name]:,.6g}" for name in ("min", "median", "p99", "max")))
        for each in found.measures
    ]
    parts = [
        f"{click.style(found.name, bold=True)}  {found.digest[7:19]}  {found.rows:,} rows",
        columns(("measure", "least", "median", "99 %", "most"), measures),
    ]
    if found.drift:
        drift = [(each.name, each.verdict, f"{each.psi:.3f}", each.test, f"{each.p:.2g}") for each in found.drift]
        parts.append(columns(("against the other", "difference", "PSI", "test", "p"), drift))
    if found.outliers:
        parts.append(columns(("outlier", "source", "why"), [(o.row[:12], o.source, o.why) for o in found.outliers[:5]]))
    return "\n\n".join([*parts, *([f"written to {html}"] if html else [])])


def _draw_subject(found: Any) -> str:
    if not found:
        return "Nothing of this was found in any dataset."
    return columns(("dataset", "kind", "row"), [(each.dataset, each.entry.kind, each.entry.row) for each in found])
