"""`kedge trace`: from an answer to the rows behind it, or from a row to all it touched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from kedge.app.project import open_project
from kedge.app.touched import Touched
from kedge.app.trace import NEAREST, NearRow, Walk, plain_text, trace
from kedge.cli.render import emit

WIDTH = 88


@click.command("trace")
@click.argument("what", metavar="RECEIPT|ROW")
@click.option("--text", default="", help="What was answered, when its trace is lost.")
@click.option("-k", "k", default=NEAREST, show_default=True, type=click.IntRange(1, 100), help="How many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, what: str, text: str, k: int, as_json: bool) -> None:
    """Walk from an answer's RECEIPT to its bundle, model, training run, dataset and the nearest rows.

    With a ROW id instead, walk forwards: to the datasets, runs, models and answers that the row touched.
    """
    project = open_project(path)
    result = trace(project, what, text=text, k=k)
    emit(result, as_json=as_json, draw=lambda: draw_walk(result) if isinstance(result, Walk) else draw_touched(result))


def draw_walk(walk: Walk) -> str:
    """The way back as a tree."""
    parts = [list(_answer(walk)), _node("bundle", _digest(walk.bundle), ", ".join(walk.versions))]
    parts.append(_node("model", _digest(walk.model)))
    if walk.run is not None:
        parts.append(_node("trained", f"run {walk.run.id}", f"stage {walk.run.stage}", _when(walk.run.started)))
    if walk.dataset is not None:
        parts.append(_node("dataset", _digest(walk.dataset.digest), walk.dataset.name, f"{walk.dataset.rows:,} rows"))
    if walk.rows:
        parts.append([_head("rows", "nearest to the answer"), *(line for row in walk.rows for line in _row(row))])
    parts += [[_head("gap", click.style(gap, fg="yellow"))] for gap in walk.gaps]
    return "\n".join(_tree(parts))


def draw_touched(found: Touched) -> str:
    """The way forwards as a tree."""
    view = found.row
    source = view.row.source if view.row else view.reject.source if view.reject else ""
    parts = [_node("row", view.id, source)]
    if view.row is not None:
        parts[0].append(_cut(view.row.input))
    if view.reject is not None:
        parts.append(_node("rejected", view.reject.reason, view.reject.detail))
    parts += [_node("dataset", _digest(each.digest), each.name, f"split {each.split}") for each in found.datasets]
    for run in found.runs:
        verb = "learned" if run.learned else "read"
        parts.append(_node(verb, f"run {run.id}", f"stage {run.stage}", _when(run.started)))
    parts += [_node("model", _digest(model)) for model in found.models]
    for bundle in found.bundles:
        parts.append(_node("bundle", _digest(bundle.digest), ", ".join(bundle.versions), _answers(bundle.answers)))
    if not found.models:
        parts.append([_head("", "No model on record learned from this row.")])
    return "\n".join(_tree(parts))


def _answer(walk: Walk) -> Iterator[str]:
    if walk.answer is None:
        yield _head("answer", f"trace {walk.trace}", click.style("not kept", fg="yellow"))
        return
    answer = walk.answer
    at = _when(datetime.fromtimestamp(answer.at, UTC))
    yield _head("answer", f"trace {answer.id}", answer.endpoint, at, f"{answer.latency_ms:.0f} ms")
    yield f"{click.style('asked', dim=True)}     {_cut(plain_text(answer.prompt))}"
    yield f"{click.style('answered', dim=True)}  {_cut(plain_text(answer.answer))}"
    for said in walk.feedback:
        comment = f": {_cut(said.comment, 60)}" if said.comment else ""
        yield f"{click.style('rated', dim=True)}     {said.name} {said.value:g} by {said.by}{comment}"


def _row(row: NearRow) -> Iterator[str]:
    yield f"{row.similarity:.2f}  {click.style(row.id, fg='cyan')}  {row.file or row.source}"
    yield f"      {click.style(_cut(row.input, WIDTH - 6), dim=True)}"


def _node(word: str, *facts: str) -> list[str]:
    return [_head(word, *facts)]


def _head(word: str, *facts: str) -> str:
    return f"{click.style(f'{word:<8}', bold=True)} {'  '.join(fact for fact in facts if fact)}"


def _tree(parts: list[list[str]]) -> Iterator[str]:
    """Each part on a branch of its own, its further lines under it."""
    for i, (head, *rest) in enumerate(parts):
        last = i == len(parts) - 1
        yield f"{'┌' if i == 0 and not last else '└' if last else '├'} {head}"
        for line in rest:
            yield f"{' ' if last else '│'}   {line}"


def _digest(digest: str) -> str:
    return click.style(digest[:19], fg="cyan") + digest[19:]


def _answers(count: int) -> str:
    return f"{count:,} answer{'' if count == 1 else 's'} kept"


def _when(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cut(text: str, width: int = WIDTH) -> str:
    """The text on one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."
