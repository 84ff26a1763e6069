"""`kedge review`: people label cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedge.app import review
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.render import emit
from kedge.core.review import Why

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
reviewer_option = click.option("--reviewer", default="", help="Who labels; without it, the user.")


@click.group("review")
def command() -> None:
    """Let people label cases, and hold judges against them.

    kedge review queue EVALUATION, then next and label by turns, then agreement and export.
    """


@command.command("queue")
@click.argument("evaluation", metavar="EVALUATION|RUN|MODEL@V")
@click.option("--name", default="", help="The queue's name; without it, the evaluation's digest.")
@click.option(
    "--why", type=click.Choice([str(each) for each in Why]), default="sampled", show_default=True, help="Which cases."
)
@click.option("--metric", default="", help="By which score cases failed or disagree; without it, the first.")
@click.option("--cases", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
@click.pass_obj
def queue_(path: str, /, evaluation: str, why: str, as_json: bool, **given: Any) -> None:
    """Put cases of an evaluation into a queue: sampled, failed, or those on which answerers disagree."""
    view = review.queue(open_project(path), evaluation, why=Why(why), **given)
    emit(view, as_json=as_json, draw=lambda: f"{view.queue}: {view.added:,} added, {_state(view)}")


@command.command("list")
@json_option
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """List the queues."""
    views = review.queues(open_project(path))
    rows = [(v.queue, f"{v.cases:,}", f"{v.labelled:,}", _people(v)) for v in views]
    told = columns(("queue", "cases", "labelled", "reviewers"), rows) if rows else "No queue yet."
    emit(views, as_json=as_json, draw=lambda: told)


@command.command("next")
@click.argument("queue", default="")
@reviewer_option
@json_option
@click.pass_obj
def next_(path: str, queue: str, reviewer: str, as_json: bool) -> None:
    """Show the next case that you have not labelled. Scores are not shown: they would sway you."""
    waiting = review.next_case(open_project(path), queue, reviewer=reviewer)
    shown = {"id": waiting.id, "left": waiting.left, **({} if waiting.case is None else _blind(waiting.case))}
    emit(shown, as_json=as_json, draw=lambda: _draw_waiting(waiting))


@command.command()
@click.argument("case")
@click.argument("label")
@click.option("--note", default="", help="Why, in a sentence.")
@reviewer_option
@json_option
@click.pass_obj
def label(path: str, case: str, label: str, note: str, reviewer: str, as_json: bool) -> None:
    """Label a case: right or wrong, a number, or a word of your own."""
    given = review.label(open_project(path), case, label, note=note, reviewer=reviewer)
    emit(given, as_json=as_json, draw=lambda: f"{given.case}  {given.label}  {given.reviewer}")


@command.command()
@click.argument("queue")
@click.option("--metric", default="", help="A judge's score to hold against the labels, and to correct by them.")
@json_option
@click.pass_obj
def agreement(path: str, queue: str, metric: str, as_json: bool) -> None:
    """Show how far reviewers agree, and a judge with them."""
    found = review.agreement(open_project(path), queue, metric=metric)
    emit(found, as_json=as_json, draw=lambda: _draw_agreement(found))


@command.command()
@click.argument("queue")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def export(path: str, queue: str, file: Path, as_json: bool) -> None:
    """Write labelled cases to FILE as JSON Lines that `kedge data ingest` reads (--target label takes the label)."""
    written = review.export(open_project(path), queue, file)
    left = f", {written.undecided:,} without a majority left out" if written.undecided else ""
    emit(written, as_json=as_json, draw=lambda: f"{written.rows:,} rows in {written.file}{left}")


def _state(view: review.QueueView) -> str:
    return f"{view.labelled:,} of {view.cases:,} labelled{f' by {_people(view)}' if view.reviewers else ''}"


def _people(view: review.QueueView) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in view.reviewers.items())


def _blind(case: Any) -> dict[str, str]:
    return {name: getattr(case, name) for name in ("queue", "row", "input", "answer", "target", "why")}


def _draw_waiting(waiting: review.Waiting) -> str:
    if waiting.case is None:
        return "Nothing waits."
    case = waiting.case
    parts = [f"{click.style(waiting.id, bold=True)}  {waiting.left:,} left in {case.queue}"]
    for title in ("input", "answer", "target"):
        parts += [click.style(title, dim=True), getattr(case, title)]
    return "\n".join([*parts, "", f"kedge review label {waiting.id} right|wrong"])


def _draw_agreement(found: review.Agreement) -> str:
    pairs = [*found.pairs, *([found.judge] if found.judge else [])]
    rows = [
        (f"{pair.first} / {pair.second}", f"{pair.cases:,}", f"{pair.equal:.3f}", _interval(pair.kappa))
        for pair in pairs
    ]
    parts = (
        [columns(("raters", "cases", "equal", "kappa [95 %]"), rows)] if rows else ["Nobody labelled the same case."]
    )
    if found.fleiss is not None:
        parts.append(f"Fleiss' kappa of all reviewers {found.fleiss:.3f}")
    parts += [
        f"{each.judged:.3f} by the judge, {_interval(each.corrected)} corrected ({each.method}, {each.labelled:,} labelled)"
        for each in found.corrected
    ]
    return "\n".join(parts)


def _interval(interval: Any) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
