"""`kedge evaluate`: scores whatever answers, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kedge.app import evaluations
from kedge.app.evaluations import EvaluationView
from kedge.app.project import open_project
from kedge.app.steps.harness import HarnessOptions
from kedge.cli.columns import columns
from kedge.cli.progress import open_progress
from kedge.cli.render import emit
from kedge.core.errors import Invalid
from kedge.core.evaluation import Evaluation, Interval, MetricResult

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Group(click.Group):
    """A group whose first word may be what is evaluated."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name; any other word is something to evaluate."""
        return super().get_command(ctx, cmd_name) or self.commands["this"]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A command by its name; anything else is evaluated."""
        if args and args[0] not in self.commands:
            return super().resolve_command(ctx, ["this", *args])
        return super().resolve_command(ctx, args)


@click.group("evaluate", cls=Group)
def command() -> None:
    """Score a version, a bundle, an endpoint or a server, case by case.

    `kedge evaluate schemas@3 --data DATASET --scorer exact_match` is short for `kedge evaluate this schemas@3 ...`.
    Answers are kept: with another scorer nothing is asked again, and what was interrupted goes on.
    """


@command.command("this")
@click.argument("what", metavar="MODEL@V|BUNDLE|endpoint:NAME|URL")
@click.option("--data", "dataset", default="", metavar="DATASET", help="The dataset whose rows are the cases.")
@click.option("--task", type=click.Path(path_type=Path), help="A TOML file with the keys of an evaluate stage.")
@click.option("--scorer", multiple=True, metavar="SCORER", help="As exact_match or numeric:tolerance=0.01; several.")
@click.option("--baseline", multiple=True, metavar="BASELINE", help="As most_common or nearest; several.")
@click.option("--slice", multiple=True, metavar="COLUMN", help='A column of the rows, or a comparison as "args>=2".')
@click.option("--perturb", multiple=True, metavar="CHANGE", help="As typos or truncate:share=0.3; several.")
@click.option("--shots", multiple=True, type=click.IntRange(min=0), help="Examples shown to the base model; several.")
@click.option("--cases", type=click.IntRange(min=1), help="At most so many cases.")
@click.option("--split", help="Which part of the dataset: test, validation or train.")
@click.option("--prompt", help="The question of a row, with {input} and {columns} in it.")
@click.option("--model", default="", help="The model's name at a server.")
@click.option("--key", default="", metavar="REFERENCE", help="Where a server's key is: env:NAME, file:PATH.")
@click.option("--concurrency", type=click.IntRange(min=1), help="How many requests a server gets at once.")
@click.option("--harness", multiple=True, metavar="TASK", help="Instead, a task of lm-evaluation-harness; several.")
@click.option("--include", default="", metavar="FOLDER", help="A folder with tasks of your own for --harness.")
@click.option("--force", is_flag=True, help="Evaluate again what is known; a server is asked anew.")
@json_option
@click.pass_obj
def this(path: str, /, what: str, harness: tuple[str, ...], force: bool, as_json: bool, **given: Any) -> None:
    """Evaluate WHAT on a dataset; the result is recorded as a run."""
    project = open_project(path)
    with open_progress(quiet=as_json) as progress:
        if harness:
            tasks = HarnessOptions(
                tasks=harness,
                include=given["include"],
                limit=given["cases"] or 0,
                shots=given["shots"][0] if given["shots"] else None,
            )
            view = evaluations.harness(project, what, options=tasks, force=force, progress=progress)
        else:
            options = evaluations.make_options(_options(what, given))
            if not given["dataset"]:
                raise Invalid("on which rows?", hint="name a dataset with --data; kedge data list shows them")
            view = evaluations.evaluate(
                project, what, dataset=given["dataset"], options=options, force=force, progress=progress
            )
    emit(view, as_json=as_json, draw=lambda: draw(view))


@command.command("list")
@json_option
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """List the newest evaluations."""
    views = evaluations.listing(open_project(path))
    emit(views, as_json=as_json, draw=lambda: _draw_list(views))


@command.command()
@click.argument("name", metavar="EVALUATION|RUN|MODEL@V")
@click.option("--cases", is_flag=True, help="Every case with its scores.")
@json_option
@click.pass_obj
def show(path: str, name: str, cases: bool, as_json: bool) -> None:
    """Show an evaluation: metrics with intervals, worst slices, baselines, changes."""
    project = open_project(path)
    if cases:
        found = evaluations.cases(project, name)
        lines = [(case.row, _scores(case.scores), case.answer[:60].replace("\n", " ")) for case in found]
        emit(found, as_json=as_json, draw=lambda: columns(("case", "scores", "answer"), lines))
        return
    view = evaluations.show(project, name)
    emit(view, as_json=as_json, draw=lambda: draw(view))


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def import_(path: str, file: Path, as_json: bool) -> None:
    """Take in an evaluation of lm-evaluation-harness (results and samples) or Inspect (a log in JSON)."""
    view = evaluations.take_in(open_project(path), file)
    emit(view, as_json=as_json, draw=lambda: draw(view))


def draw(view: EvaluationView) -> str:
    """The model's metrics with their worst slices, what others get, and what changes do."""
    found = view.evaluation
    about = found.subject or found.bundle
    known = "" if view.fresh else "  (known)"
    parts = [f"{click.style(view.digest[:19], bold=True)}  {found.cases:,} cases  {about}{known}", _metrics(view)]
    changed = [result for result in found.results if "~" in result.metric]
    if changed:
        rows = [(*result.metric.split("~", 1), _interval(result.interval, signed=True)) for result in changed]
        parts.append(columns(("metric", "inputs with", "difference"), rows))
    confusion = next((table for table in found.detail.values() if isinstance(table, dict) and "counts" in table), None)
    if confusion is not None and len(confusion["labels"]) <= 12:
        heads = ("true \\ said", *confusion["labels"])
        lines = zip(confusion["labels"], confusion["counts"], strict=True)
        parts.append(columns(heads, [(label, *map(str, counts)) for label, counts in lines]))
    return "\n\n".join(parts)


def _metrics(view: EvaluationView) -> str:
    found = view.evaluation
    whole = [result for result in found.results if not result.slice and "~" not in result.metric + result.answerer]
    others = [name for name in dict.fromkeys(result.answerer for result in whole) if name != "model"]
    rows = []
    for result in (each for each in whole if each.answerer == "model"):
        beside = [_value(found.find(result.metric, answerer=name)) for name in others]
        worst = view.worst.get(result.metric)
        told = f"{worst.slice} {worst.interval.value:.3f} (n={worst.n:,})" if worst else ""
        better = "-" if result.metric in found.lower else "+"
        rows.append((result.metric, better, _interval(result.interval), f"{result.n:,}", *beside, told))
    return columns(("metric", "", "value [95 %]", "n", *others, "worst slice"), rows)


def _draw_list(views: Sequence[EvaluationView]) -> str:
    if not views:
        return "No evaluation yet: kedge evaluate MODEL@V --data DATASET makes one."
    rows = [
        (v.digest[7:19], v.run, f"{v.evaluation.cases:,}", _first(v.evaluation), _about(v.evaluation)) for v in views
    ]
    return columns(("digest", "run", "cases", "metric", "of"), rows)


def _options(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """A task's keys from its file and from flags, which win."""
    raw: dict[str, Any] = evaluations.read_task(given["task"]) if given["task"] else {"baselines": []}
    for key, flag in (("scorers", "scorer"), ("baselines", "baseline"), ("perturb", "perturb")):
        if given[flag]:
            raw[key] = [evaluations.read_scorer(text) for text in given[flag]]
    for key, flag in (("slices", "slice"), ("shots", "shots")):
        if given[flag]:
            raw[key] = list(given[flag])
    raw |= {name: given[name] for name in ("cases", "split", "prompt") if given[name] is not None}
    if what.startswith(("http://", "https://", "endpoint:")):
        remote = {"url": what, "model": given["model"], **raw.get("remote", {})}
        remote |= {name: given[name] for name in ("model", "key", "concurrency") if given[name]}
        raw["remote"] = remote
    return raw


def _interval(interval: Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value, low, high = (f"{number:{sign}.3f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _value(result: MetricResult | None) -> str:
    return "" if result is None else f"{result.interval.value:.3f}"


def _first(evaluation: Evaluation) -> str:
    found = evaluation.find(evaluation.scorers[0]) if evaluation.scorers else None
    return f"{found.metric} {_interval(found.interval)}" if found else ""


def _about(evaluation: Evaluation) -> str:
    return evaluation.subject or evaluation.bundle[7:19]


def _scores(scores: Any) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in scores.items())
