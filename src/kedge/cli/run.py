"""`kedge run`: run what is not up to date."""

from __future__ import annotations

import click

from kedge.app import runs
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.progress import open_progress, span, written
from kedge.cli.render import emit

COLOURS = {"skipped": "cyan", "succeeded": "green", "skip": "cyan", "run": "green", "wait": "yellow"}
WORDS = {"skipped": "up to date", "succeeded": "done", "skip": "skip", "run": "run", "wait": "wait"}


@click.command("run")
@click.argument("stages", nargs=-1, metavar="[STAGE]...")
@click.option("--explain", is_flag=True, help="Say what would run and why, and change nothing.")
@click.option("--force", is_flag=True, help="Run the named stages, or all of them, even if they are up to date.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override a setting, as train.steps=200.")
@click.option("--executor", default="local", show_default=True, help="Where steps run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(
    path: str, stages: tuple[str, ...], explain: bool, force: bool, sets: tuple[str, ...], executor: str, as_json: bool
) -> None:
    """Run the stages that are not up to date: all, or the named ones and what they depend on.

    A stage is skipped when its options, code, packages and inputs are those of a run that succeeded. A run that was
    stopped or killed goes on from where it was.
    """
    project = open_project(path)
    if explain:
        plan = runs.explain(project, stages=stages, sets=sets, force=force)
        emit(plan, as_json=as_json, draw=lambda: _draw_plan(plan))
        return
    with open_progress(quiet=as_json) as progress:
        result = runs.run(project, stages=stages, sets=sets, force=force, executor=executor, progress=progress)
    emit(result, as_json=as_json, draw=lambda: _draw_result(result))


def _draw_plan(plan: runs.Plan) -> str:
    rows = [(step.stage, step.step, _word(step.action), step.reason) for step in plan.steps]
    table = columns(("stage", "step", "", "why"), rows)
    return f"{table}\n\nNothing to do." if plan.idle else table


def _draw_result(result: runs.PipelineResult) -> str:
    rows = []
    for outcome in result.stages:
        made = "  ".join(f"{port} {digest[7:19]}" for port, digest in outcome.outputs.items())
        figures = written(dict(list(outcome.metrics.items())[:3]))
        took = span(outcome.seconds) if outcome.seconds else ""
        rows.append((outcome.stage, _word(outcome.state), outcome.run[:8], took, made, figures))
    table = columns(("stage", "", "run", "time", "made", "figures"), rows)
    end = "Everything is up to date." if result.idle else f"Done in {span(result.seconds)}."
    return f"{table}\n\n{end}"


def _word(state: str) -> str:
    return click.style(WORDS[state], fg=COLOURS[state])
