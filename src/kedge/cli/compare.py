"""`kedge compare`: asks whether B is better than A."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from kedge.app.compare import Compared, Question, are_files, compare_files, compare_versions
from kedge.app.project import open_project
from kedge.cli.render import emit
from kedge.core.errors import Refused

COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}
BETTER = {"pass": "B is better", "fail": "B is not better", "undecided": "undecided whether B is better"}
NO_WORSE = {"pass": "B is no worse", "fail": "B is worse", "undecided": "undecided whether B is worse"}


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--metric", default="", help="The score to compare: the first scorer, or `score` in files.")
@click.option("--slice", default="", help='Only the cases of a slice, as "args>=2".')
@click.option("--margin", default=0.0, help="By how much B must be better; negative: by how much it may be worse.")
@click.option("--alpha", default=0.05, show_default=True, help="How often two equals may be told apart.")
@click.option("--lower", is_flag=True, help="Smaller scores are better.")
@click.option("--gate", is_flag=True, help="Exit with 3 unless the verdict is pass.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, /, a: str, b: str, gate: bool, as_json: bool, **asked: object) -> None:
    """Ask whether B is better than A, case by case.

    A and B are versions (schemas@1 schemas@production) that were evaluated on one dataset, or two files of JSON Lines
    with an id and a score on each line, and perhaps a group.
    """
    part = str(asked.pop("slice"))
    question = msgspec.convert(asked, Question)
    if are_files(a, b):
        compared = compare_files(Path(a), Path(b), question)
    else:
        compared = compare_versions(open_project(ctx.obj), a, b, question, slice=part)
    emit(flat(compared), as_json=as_json, draw=lambda: draw(compared))
    if gate and compared.answer.verdict != "pass":
        ctx.exit(Refused.exit_code)


def flat(compared: Compared) -> dict[str, object]:
    """The answer as one object: verdict, difference, interval, p, n, needed and what was compared."""
    return {"a": compared.a, "b": compared.b, "dataset": compared.dataset, **msgspec.to_builtins(compared.answer)}


def draw(compared: Compared) -> str:
    """The answer in four lines."""
    answer = compared.answer
    words = NO_WORSE if answer.margin < 0 else BETTER
    by = f" by more than {abs(answer.margin):g}" if answer.margin else ""
    verdict = click.style(words[answer.verdict] + by, fg=COLOURS[answer.verdict], bold=True)
    low, high = answer.interval
    lines = [
        f"{verdict}: {answer.metric} differs by {answer.difference:+.4f} [{low:+.4f}, {high:+.4f}], p = {answer.p:.4g}",
        f"A  {answer.mean_a:.4f}  {compared.a}",
        f"B  {answer.mean_b:.4f}  {compared.b}",
        _cases(compared),
    ]
    if answer.verdict == "undecided":
        lines.append(_power(compared))
    return "\n".join(lines)


def _cases(compared: Compared) -> str:
    answer = compared.answer
    said = f"{answer.n:,} cases that both have, {answer.test}"
    if answer.groups:
        said += f" over {answer.groups:,} groups"
    if answer.only_a or answer.only_b:
        said += f"; left out: {answer.only_a:,} only in A, {answer.only_b:,} only in B"
    return said


def _power(compared: Compared) -> str:
    answer = compared.answer
    enough = (
        f"about {answer.needed:,} cases would tell" if answer.needed < 10_000_000 else "no number of cases would tell"
    )
    seen = f"; {answer.n:,} show differences from {answer.visible:.3f} on" if answer.visible else ""
    return f"if the difference seen is the true one, {enough}{seen}"
