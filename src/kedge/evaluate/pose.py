"""Turns rows into questions: a task's own template, examples in front, and changed inputs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from kedge.core.bundle import Bundle
from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.types import Perturbation, Question

BETWEEN = "\n\n"  # stands between examples, and ends the answer of a model that goes on with another
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A training row with its cluster."""

    row: Row
    cluster: str


def pose(rows: Sequence[Row], template: str = "{input}") -> list[Question]:
    """Each row's question: the template with `{input}` and columns in it. `Invalid` for a column that a row lacks."""
    return [Question(row=row, input=fill(template, row)) for row in rows]


def fill(template: str, row: Row) -> str:
    """The template with a row's input and columns; other braces stay as they are."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "input":
            return row.input
        if name not in row.tags:
            raise Invalid(
                f"the task's prompt names {{{name}}}, and row {row.id} has no such column",
                address=name,
                hint=f"it has: input, {', '.join(row.tags)}",
            )
        return str(row.tags[name])

    return _FIELD.sub(value, template)


def change(questions: Sequence[Question], perturbation: Perturbation, *, seed: str) -> list[Question]:
    """The same questions with their inputs changed."""
    return [Question(row=each.row, input=perturbation(each.input or "", f"{seed}:{each.row.id}")) for each in questions]


def put_examples(
    questions: Sequence[Question], examples: Sequence[Sequence[tuple[str, str]]], bundle: Bundle
) -> list[Question]:
    """The questions with examples, (input, target) each, in front of them, as this bundle puts a row to its model."""
    posed = []
    for question, shown in zip(questions, examples, strict=True):
        parts = [f"{bundle.fill(given)}{target}" for given, target in shown]
        posed.append(Question(row=question.row, prompt=BETWEEN.join([*parts, bundle.fill(question.input or "")])))
    return posed


def put_turns(questions: Sequence[Question], examples: Sequence[Sequence[tuple[str, str]]]) -> list[Question]:
    """The questions with examples as earlier turns of a chat."""
    posed = []
    for question, shown in zip(questions, examples, strict=True):
        turns: list[Mapping[str, str]] = []
        for given, target in shown:
            turns += [{"role": "user", "content": given}, {"role": "assistant", "content": target}]
        turns.append({"role": "user", "content": question.input or ""})
        posed.append(Question(row=question.row, messages=tuple(turns)))
    return posed


def choose_examples(
    rows: Sequence[Row],
    known: Sequence[Known],
    *,
    shots: int,
    cluster: Callable[[Row], str],
    apart: Sequence[str] = (),
    seed: int = 0,
) -> list[list[Row]]:
    """`shots` training rows for each case, chosen by the ids and the seed alone.

    None is of the case's cluster, has its input, or shares a value of the columns `apart` (what the split held apart),
    so that no example gives the answer away. `Invalid` when too few are left.
    """
    order = sorted((one for one in known if one.row.target), key=lambda one: _draw(f"{seed}:{one.row.id}"))
    chosen = []
    for row in rows:
        found: list[Row] = []
        start = _draw(f"{seed}:{row.id}:start") % max(1, len(order))
        for one in chain(islice(order, start, None), islice(order, start)) if shots else ():
            if not _leaks(row, one, cluster(row), apart):
                found.append(one.row)
                if len(found) == shots:
                    break
        if len(found) < shots:
            raise Invalid(
                f"there are {len(found)} training rows that may be shown beside row {row.id}, and {shots} are wanted",
                address=row.id,
                hint="ask for fewer examples, or give the dataset more training rows",
            )
        chosen.append(found)
    return chosen


def _leaks(row: Row, one: Known, cluster: str, apart: Sequence[str]) -> bool:
    shared = any(tag in row.tags and row.tags[tag] == one.row.tags.get(tag) for tag in apart)
    return one.row.id == row.id or one.cluster == cluster or one.row.input == row.input or shared


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
