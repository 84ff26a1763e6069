"""`kedge audit`: the record of every change, read and verified."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
import msgspec

from kedge.app import audit
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit
from kedge.core.audit import AuditRecord
from kedge.core.errors import Broken


@click.group("audit")
def command() -> None:
    """Read and verify the hash-chained record of everything that changed who or what is in force."""


@command.command("verify")
@click.option("--head", default="", metavar="HASH", help="The hash of a record noted earlier: it must be there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def verify(ctx: click.Context, /, head: str, as_json: bool) -> None:
    """Check every link of the chain; exit with 70 and name the place if one is damaged."""
    report = audit.verify(open_project(ctx.obj), head=head)
    emit({**msgspec.to_builtins(report), "whole": report.whole}, as_json=as_json, draw=lambda: draw_report(report))
    if not report.whole:
        ctx.exit(Broken.exit_code)


@command.command("list")
@click.option("--subject", default="", help="Only records whose subject begins so, as schemas@production.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=0), help="The newest so many; 0: all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def listing(path: str, subject: str, limit: int, as_json: bool) -> None:
    """List records, the oldest first."""
    records = audit.listing(open_project(path), subject=subject, limit=limit)
    emit({"records": records}, as_json=as_json, draw=lambda: draw_records(records))


def draw_report(report: audit.ChainReport) -> str:
    """Whole, or each damaged place."""
    if report.whole:
        return f"{click.style('whole', fg='green', bold=True)}: {report.records:,} records, head {report.head}"
    lines = [click.style(f"damaged in {len(report.breaks)} places", fg="red", bold=True)]
    return "\n".join([*lines, *(f"  {found.damage:<9}  {found.text}" for found in report.breaks)])


def draw_records(records: Sequence[AuditRecord]) -> str:
    """Records as a table."""
    if not records:
        return "Nothing was changed yet."
    rows = [
        (
            str(record.seq),
            f"{record.at.astimezone():%Y-%m-%d %H:%M:%S}",
            record.by,
            record.action,
            record.subject[:40],
            _brief(record),
        )
        for record in records
    ]
    return columns(("", "at", "by", "action", "subject", "detail"), rows)


def _brief(record: AuditRecord) -> str:
    text = json.dumps({name: value for name, value in record.detail.items() if value not in ("", None, [], False)})
    return text if len(text) <= 100 else f"{text[:97]}..."
