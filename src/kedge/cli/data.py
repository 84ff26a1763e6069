"""`kedge data`: look into datasets, and take files in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from kedge.app import data
from kedge.app.history import RowHistory, why
from kedge.app.ingest import Ingested, IngestOptions, ingest
from kedge.app.project import open_project
from kedge.app.touched import Touched, touched
from kedge.cli import data_restore
from kedge.cli.columns import columns
from kedge.cli.data_report import report, subject
from kedge.cli.data_shape import augment, tokens
from kedge.cli.progress import open_progress
from kedge.cli.render import emit

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("data")
def command() -> None:
    """Look into datasets: versions, rows, what was rejected and why.

    A DATASET is named by its name (the newest version), name@2, or the first digits of its digest.
    """


@command.command("list")
@json_option
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """List every version of every dataset."""
    versions = data.listing(open_project(path))
    emit(versions, as_json=as_json, draw=lambda: _draw_versions(versions))


@command.command()
@click.argument("what", metavar="DATASET|ROW")
@json_option
@click.pass_obj
def show(path: str, what: str, as_json: bool) -> None:
    """Show a dataset's profile, or a row with its source."""
    view = data.show(open_project(path), what)
    emit(view, as_json=as_json, draw=lambda: _draw_row(view) if isinstance(view, data.RowView) else _draw_view(view))


@command.command("ingest")
@click.argument("files", nargs=-1, required=True, metavar="PATH...")
@click.option("--name", default="", help="The dataset's name; without it, that of the first file.")
@click.option(
    "--source",
    default="",
    help="The source that reads the files; without it, what they begin with and their names say.",
)
@click.option("--input", default="", metavar="FIELD", help="The field that holds the input.")
@click.option("--target", default="", metavar="FIELD", help="The field that holds the target.")
@click.option("--licence", default="", help="The licence of rows that name none.")
@click.option("--consent", default="", help="What was consented to for rows that say nothing of it.")
@click.option("--origin", default="", help="Where rows come from that do not say so.")
@click.option("--executor", default="local", show_default=True, help="Where files are read: local, or ray.")
@click.option("--test", type=click.FloatRange(0, 1, max_open=True), help="Share held out for testing.")
@click.option("--validation", type=click.FloatRange(0, 1, max_open=True), help="Share held out for validation.")
@json_option
@click.pass_obj
def ingest_(path: str, /, files: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Make a dataset of whatever there is.

    PATH is a file, a folder, a pattern, a URL of S3 (s3://), Google Cloud (gs://) or Azure (az://), a dataset of the
    Hugging Face hub (hf:owner/name), or a query (sql:URL#QUERY). JSON Lines, JSON, CSV, Parquet, Arrow, text, Markdown,
    HTML, PDF, Python source, images, sounds, and archives of them are read by what they are. Chats, instructions and
    preferences are recognised.

    What cannot be a row is quarantined with its line and the reason, and the rest goes on. Outside a project, one is
    made here.
    """
    with open_progress(quiet=as_json) as progress:
        result = ingest(path, files, IngestOptions(**options), progress=progress)
    emit(result, as_json=as_json, draw=lambda: _draw_ingested(result))


@command.command()
@click.argument("dataset")
@click.option("--reason", default="", help="Only this reason, as leak or leak:name.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="Show at most so many.")
@json_option
@click.pass_obj
def rejects(path: str, dataset: str, reason: str, limit: int, as_json: bool) -> None:
    """Show what a dataset left out, where it stood and why."""
    view = data.rejects(open_project(path), dataset, reason=reason, limit=limit)
    emit(view, as_json=as_json, draw=lambda: _draw_rejects(view))


@command.command()
@click.argument("dataset")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
@click.pass_obj
def export(path: str, dataset: str, folder: Path, as_json: bool) -> None:
    """Write a dataset to FOLDER as Parquet that pandas, polars and DuckDB read."""
    with open_progress(quiet=as_json) as progress:
        result = data.export(open_project(path), dataset, folder, progress)
    emit(result, as_json=as_json, draw=lambda: f"{', '.join(result.files)} in {result.folder}")


@command.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@json_option
@click.pass_obj
def diff(path: str, before: str, after: str, as_json: bool) -> None:
    """Show which rows came, went, were changed or moved from version A to version B."""
    result = data.diff(open_project(path), before, after)
    emit(result, as_json=as_json, draw=lambda: _draw_diff(result))


@command.command("log")
@click.argument("dataset")
@json_option
@click.pass_obj
def log_(path: str, dataset: str, as_json: bool) -> None:
    """Show the versions of a dataset, newest first, and what changed from each to the next."""
    changes = data.log(open_project(path), dataset)
    emit(changes, as_json=as_json, draw=lambda: _draw_log(changes))


@command.command("why")
@click.argument("row")
@json_option
@click.pass_obj
def why_(path: str, row: str, as_json: bool) -> None:
    """Show the whole history of a row: its file and line, what each step made of it, in every version."""
    history = why(open_project(path), row)
    emit(history, as_json=as_json, draw=lambda: _draw_history(history))


@command.command("models")
@click.argument("row")
@json_option
@click.pass_obj
def models_(path: str, row: str, as_json: bool) -> None:
    """Show every run and every model that trained on a row."""
    found = touched(open_project(path), row)
    emit(found, as_json=as_json, draw=lambda: _draw_models(found))


@command.command("card")
@click.argument("dataset")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on one line.")
@click.pass_obj
def card_(path: str, dataset: str, output: Path | None, as_json: bool) -> None:
    """Print the data card of a version as Croissant 1.1, made from the record."""
    made = data.card(open_project(path), dataset)
    text = json.dumps(made, indent=2, ensure_ascii=False)
    if output is not None:
        output.write_text(text + "\n")
    emit(made, as_json=as_json, draw=lambda: f"written to {output}" if output else text)


def _draw_log(changes: Sequence[data.Change]) -> str:
    numbers = {each.version.digest: each.version.address for each in changes}
    rows = [
        (
            each.version.address,
            each.version.digest[7:19],
            f"{each.version.rows:,}",
            f"+{each.added:,} -{each.removed:,} ~{each.changed:,}",
            numbers.get(each.version.restored, each.version.restored[7:19]),
            f"{each.written:,}",
            f"{each.version.made:%Y-%m-%d %H:%M}" if each.version.made else "",
            each.version.run,
        )
        for each in changes
    ]
    return columns(("version", "digest", "rows", "changes", "restored", "bytes written", "made", "run"), rows)


def _draw_history(history: RowHistory) -> str:
    lines = [click.style(f"row {history.id}", bold=True), history.source]
    for version in history.versions:
        lines += ["", f"{version.dataset}  {version.fate}  {version.digest[7:19]}  {version.run}".rstrip()]
        lines += [f"  {event.step:<16} {event.said}" for event in version.events]
    return "\n".join(lines)


def _draw_models(found: Touched) -> str:
    if not found.models:
        return f"No model on record learned from {found.row.id}."
    rows = [(run.id, run.stage, f"{run.started:%Y-%m-%d %H:%M}") for run in found.runs if run.learned]
    bundles = [
        (", ".join(each.versions) or each.digest[7:19], each.model[7:19], f"{each.answers:,}") for each in found.bundles
    ]
    parts = [columns(("run", "stage", "started"), rows), "\n".join(found.models)]
    return "\n\n".join([*parts, *([columns(("bundle", "model", "answers"), bundles)] if bundles else [])])


command.add_command(report)
command.add_command(subject)
command.add_command(augment)
command.add_command(data_restore.command)
command.add_command(tokens)


def _draw_versions(versions: Sequence[data.DatasetVersion]) -> str:
    if not versions:
        return "No dataset yet: kedge data ingest PATH makes one."
    rows = [
        (v.address, v.digest[7:19], f"{v.rows:,}", _counts(v.splits), f"{v.rejected:,}", v.parent[7:19], v.stage)
        for v in versions
    ]
    return columns(("dataset", "digest", "rows", "splits", "rejected", "parent", "stage"), rows)


def _draw_view(view: data.DatasetView) -> str:
    version, manifest = view.version, view.manifest
    profile = manifest.profile
    facts = [
        ("digest", version.digest),
        ("rows", f"{manifest.rows:,}  {_counts(version.splits)}"),
        ("rejected", _counts(manifest.rejects) or "nothing"),
        ("input", _lengths(profile["input_chars"])),
        ("target", _lengths(profile["target_chars"])),
        ("clusters", f"{profile['clusters']['count']:,}, the largest of {profile['clusters']['largest']:,} rows"),
        ("made by", f"run {version.run} of stage {version.stage}" if version.run else "nothing on record"),
        ("parent", version.parent or "none"),
    ]
    tags = [
        (name, f"{tag['rows']:,}", f"{tag['distinct']:,}", _top(tag["top"])) for name, tag in profile["tags"].items()
    ]
    parts = [click.style(version.address, bold=True), *(f"{name:<9} {fact}" for name, fact in facts)]
    return "\n".join(parts) + (f"\n\n{columns(('tag', 'rows', 'values', 'most frequent'), tags)}" if tags else "")


def _draw_row(view: data.RowView) -> str:
    head = [click.style(f"row {view.id}", bold=True)]
    if view.reject is not None:
        head += [f"rejected  {view.reject.reason}: {view.reject.detail}", f"source    {view.reject.source}"]
    if view.row is not None:
        tags = "  ".join(f"{name}={value}" for name, value in view.row.tags.items())
        head += [f"source    {view.row.source}", f"split     {view.split}", f"tags      {tags or 'none'}"]
        head += [] if view.cluster == view.id else [f"cluster   {view.cluster}"]
        head += ["", click.style("input", dim=True), view.row.input]
        head += ["", click.style("target", dim=True), view.row.target] if view.row.target else []
    return "\n".join([*head, "", *(f"in {digest}" for digest in view.datasets)])


def _draw_ingested(result: Ingested) -> str:
    lines = [
        f"{click.style(result.name, bold=True)}  {result.dataset}",
        f"{result.rows:,} rows  {_counts(result.splits)}",
        f"{result.quarantined:,} quarantined, {result.dropped:,} dropped  {_counts(result.reasons)}".rstrip(),
    ]
    left_out = result.quarantined + result.dropped
    return "\n".join([*lines, *([f"kedge data rejects {result.name} says why"] if left_out else [])])


def _draw_rejects(view: data.RejectsView) -> str:
    if not view.rejects:
        return "Nothing was left out."
    table = columns(("reason", "source", "detail"), [(r.reason, r.source, _short(r.detail)) for r in view.rejects])
    more = f"\n... and {view.total - len(view.rejects):,} more" if view.total > len(view.rejects) else ""
    return f"{table}{more}\n\n{view.total:,} left out: {_counts(view.reasons)}"


def _draw_diff(result: Any) -> str:
    lines = [f"{result.before[7:19]} -> {result.after[7:19]}"]
    for word, count, ids in (
        ("added", result.added, result.added_rows),
        ("removed", result.removed, result.removed_rows),
        ("changed", result.changed, [f"{was} -> {became}" for was, became in result.changed_rows]),
        ("moved", result.moved, result.moved_rows),
    ):
        lines.append(f"{word:<8} {count:>9,}  {' '.join(ids[:3])}{' ...' if count > 3 else ''}".rstrip())
    lines.append(f"{'kept':<8} {result.kept:>9,}")
    lines += [f"{part} differs:\n  {old}\n  {new}" for part, (old, new) in result.recipe.items()]
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return "  ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def _lengths(lengths: Mapping[str, Any]) -> str:
    if not lengths:
        return "nothing"
    return f"{lengths['min']:,} to {lengths['max']:,} characters, median {lengths['median']:,}, 99 % up to {lengths['p99']:,}"


def _top(top: Sequence[tuple[str, int]]) -> str:
    shown = [f"{value} {count:,}" for value, count in top[:4]]
    return _short("  ".join(shown), 60)


def _short(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
