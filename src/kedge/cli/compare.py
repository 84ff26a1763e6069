"""`kedge compare`: asks whether B is better than A, and what it costs to tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from kedge.app.compare import (
    Compared,
    Comparison,
    Planned,
    Question,
    are_files,
    compare_files,
    compare_versions,
    plan_files,
    plan_versions,
    questions,
)
from kedge.app.project import open_project
from kedge.cli.render import emit
from kedge.core.errors import Invalid, Refused

COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}
BETTER = {"pass": "B is better", "fail": "B is not better", "undecided": "undecided whether B is better"}
NO_WORSE = {"pass": "B is no worse", "fail": "B is worse", "undecided": "undecided whether B is worse"}
TOO_MANY = 10_000_000


@click.command("compare")
@click.argument("a")
@click.argument("b", required=False, default="")
@click.option(
    "--metric", multiple=True, help="The score to compare, as often as you like; `name:lower` if smaller is better."
)
@click.option("--slice", default="", help='Only the cases of a slice, as "args>=2".')
@click.option(
    "--margin",
    multiple=True,
    metavar="[METRIC=]NUMBER",
    help="By how much B must be better; if negative, may be worse.",
)
@click.option("--alpha", default=0.05, show_default=True, help="How often two equals may be told apart.")
@click.option("--lower", is_flag=True, help="Smaller scores are better, of every metric.")
@click.option(
    "--see", default=0.0, metavar="NUMBER", help="Say how many cases show this difference.  [default: 3 % of the range]"
)
@click.option("--plan", is_flag=True, help="Only say that, before B is evaluated or even made.")
@click.option("--cases", default=0, metavar="N", help="With --plan: the cases you will have, if not those of A.")
@click.option("--gate", is_flag=True, help="Exit with 3 unless the verdict is pass.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, /, a: str, b: str, gate: bool, as_json: bool, **asked: object) -> None:
    """Ask whether B is better than A, case by case.

    A and B are versions (schemas@1 schemas@production) that were evaluated on one dataset, or two files of JSON Lines
    with an id and a score on each line, and perhaps a group. Several metrics are corrected for being asked together.
    """
    words = msgspec.convert(asked, _Asked)
    wanted = questions(words.metric, words.margin, alpha=words.alpha, lower=words.lower, see=words.see)
    files = are_files(a, b) if b else are_files(a)
    if words.plan:
        planned = _plan(ctx.obj, a, b, wanted, words.cases) if files or not b else []
        planned = planned or plan_versions(open_project(ctx.obj), a, wanted, cases=words.cases)
        emit({"plan": planned, **msgspec.to_builtins(planned[0])}, as_json=as_json, draw=lambda: draw_plan(planned))
        return
    if not b:
        raise Invalid(
            "what is to be compared with it?", hint=f"kedge compare {a} B, or --plan to see what it would cost"
        )
    if files:
        compared = compare_files(Path(a), Path(b), wanted)
    else:
        compared = compare_versions(open_project(ctx.obj), a, b, wanted, slice=words.slice)
    emit(flat(compared), as_json=as_json, draw=lambda: draw(compared))
    if gate and compared.verdict != "pass":
        ctx.exit(Refused.exit_code)


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options that shape the question."""

    metric: tuple[str, ...] = ()
    slice: str = ""
    margin: tuple[str, ...] = ()
    alpha: float = 0.05
    lower: bool = False
    see: float = 0.0
    plan: bool = False
    cases: int = 0


def _plan(path: str, a: str, b: str, wanted: Sequence[Question], cases: int) -> list[Planned]:
    if are_files(a):
        return plan_files(Path(a), Path(b) if b else None, wanted, cases=cases)
    return plan_versions(open_project(path), a, wanted, cases=cases)


def flat(compared: Compared) -> dict[str, object]:
    """The answer as one object: verdict, difference, interval, p, n, needed and what was compared; with several metrics
    the numbers are the first one's, the verdict is over all, and `metrics` holds each."""
    told = {"a": compared.a, "b": compared.b, "dataset": compared.dataset, **msgspec.to_builtins(compared.answer)}
    if len(compared.answers) > 1:
        told |= {"verdict": str(compared.verdict), "metrics": msgspec.to_builtins(compared.answers)}
    return told


def draw(compared: Compared) -> str:
    """The answer in a few lines, and each metric's where there are several."""
    answer = compared.answer
    if len(compared.answers) == 1:
        return "\n".join(
            [
                _verdict(answer),
                f"A  {answer.mean_a:.4f}  {compared.a}",
                f"B  {answer.mean_b:.4f}  {compared.b}",
                _cases(answer),
                *_power(answer),
            ]
        )
    said = click.style(str(compared.verdict), fg=COLOURS[compared.verdict], bold=True)
    lines = [f"{said}: B is {compared.b}, A is {compared.a}; {len(compared.answers)} metrics, corrected together"]
    for each in compared.answers:
        lines += [_verdict(each), f"  A {each.mean_a:.4f}, B {each.mean_b:.4f}, {_cases(each)}"]
        lines += [f"  {line}" for line in _power(each)]
    return "\n".join(lines)


def _verdict(answer: Comparison) -> str:
    words = NO_WORSE if answer.margin < 0 else BETTER
    by = f" by more than {abs(answer.margin):g}" if answer.margin else ""
    verdict = click.style(words[answer.verdict] + by, fg=COLOURS[answer.verdict], bold=True)
    low, high = answer.interval
    corrected = f" ({answer.p_holm:.4g} corrected)" if answer.p_holm != answer.p else ""
    differs = f"differs by {answer.difference:+.4f} [{low:+.4f}, {high:+.4f}], p = {answer.p:.4g}{corrected}"
    return f"{verdict}: {answer.metric} {differs}"


def _cases(answer: Comparison) -> str:
    said = f"{answer.n:,} cases that both have, {answer.test}"
    if answer.groups:
        said += f" over {answer.groups:,} groups"
    if answer.only_a or answer.only_b:
        said += f"; left out: {answer.only_a:,} only in A, {answer.only_b:,} only in B"
    return said


def _power(answer: Comparison) -> list[str]:
    """What it would take, where it is undecided; and what so many cases can show at all."""
    if answer.verdict != "undecided":
        return []
    lines = []
    if answer.p_holm <= answer.alpha < answer.guard:
        lines.append(f"so few cases cannot rule out rare bad ones that were not among them (p = {answer.guard:.3g})")
    enough = (
        f"about {answer.needed:,} cases would tell" if answer.needed < TOO_MANY else "no number of cases would tell"
    )
    seen = f"; {answer.n:,} show differences from {answer.visible:.3f} on" if answer.visible else ""
    lines.append(f"if the difference seen is the true one, {enough}{seen}")
    if answer.see_needed:
        lines.append(_see(answer.see, answer.see_needed, answer.n))
    return lines


def draw_plan(planned: Sequence[Planned]) -> str:
    """The power line of each metric."""
    lines = []
    for each in planned:
        lines.append(
            f"{each.metric}: {_see(each.see, each.needed, each.have)}: you would see it {each.power:.0%} of the time"
        )
        if each.guessed:
            lines.append("  taking B's answers to be independent of A's, which is on the safe side")
    return "\n".join(lines)


def _see(see: float, needed: int, have: int) -> str:
    """`to see 3 points you need 430 cases, you have 60`."""
    points = f"{100 * see:g} points" if 0.001 <= see < 1 else f"a difference of {see:.3g}"
    return f"to see {points} you need {needed:,} cases, you have {have:,}"
