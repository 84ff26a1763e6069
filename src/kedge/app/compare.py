"""Is B better than A? Two versions on the cases both were evaluated on, or two files of scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from kedge.app.aliases import resolve
from kedge.app.project import Project
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, NotFound
from kedge.core.ledger import Ledger
from kedge.core.model import ModelVersion
from kedge.evaluate.compare import Comparison as Comparison
from kedge.evaluate.compare import Question as Question
from kedge.evaluate.compare import compare
from kedge.evaluate.report import read_cases, read_evaluation
from kedge.evaluate.types import MODEL

_SHAPE = 'each line is {"id": "...", "score": number}, with "group" if cases share one'


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was compared, and the answer. `dataset` is what both were evaluated on ("" for files)."""

    a: str
    b: str
    answer: Comparison
    dataset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores by case, with the group of each case that has one."""

    scores: dict[str, float] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def are_files(a: str, b: str) -> bool:
    """Whether A and B name files: they are there, or are written like paths."""
    return all(Path(name).is_file() or "/" in name or name.endswith(".jsonl") for name in (a, b))


def compare_files(a: Path, b: Path, question: Question) -> Compared:
    """Compare two files of JSON Lines with `id`, the metric (`score` unless named) and perhaps `group`. `Invalid` names
    the line that cannot be read."""
    question = question if question.metric else replace(question, metric="score")
    first, second = read_scores(a, question.metric), read_scores(b, question.metric)
    for case in first.groups.keys() & second.groups.keys():
        if first.groups[case] != second.groups[case]:
            raise Invalid(f"{case!r} is in group {first.groups[case]!r} of A and {second.groups[case]!r} of B")
    answer = compare(first.scores, second.scores, question, groups={**first.groups, **second.groups})
    return Compared(a=str(a), b=str(b), answer=answer)


def compare_versions(project: Project, a: str, b: str, question: Question, *, slice: str = "") -> Compared:
    """Compare two versions by their newest evaluations on one dataset. Without a metric named, the first scorer's.

    `NotFound` if there is no dataset that both were evaluated on; `Invalid` for a metric without a score per case.
    """
    first, second = resolve(project.ledger, a), resolve(project.ledger, b)
    theirs, ours = _evaluations(project.ledger, first), _evaluations(project.ledger, second)
    shared = [dataset for dataset in ours if dataset in theirs]
    if not shared:
        raise NotFound(
            f"{first.address} and {second.address} were not evaluated on the same dataset",
            address=second.address,
            hint="run the evaluate stage for both on one dataset",
        )
    dataset = shared[-1]
    if not question.metric:
        question = replace(question, metric=read_evaluation(project.blobs, ours[dataset]).scorers[0])
    answer = compare(
        _scores(project, theirs[dataset], question.metric, slice),
        _scores(project, ours[dataset], question.metric, slice),
        question,
    )
    return Compared(a=first.address, b=second.address, answer=answer, dataset=dataset)


def _evaluations(ledger: Ledger, version: ModelVersion) -> dict[str, str]:
    """The newest evaluation of a version on each dataset, the newest last."""
    found: dict[str, str] = {}
    for run in ledger.runs.using(version.bundle):
        if "evaluation" in run.outputs and "dataset" in run.inputs:
            found.pop(run.inputs["dataset"], None)
            found[run.inputs["dataset"]] = run.outputs["evaluation"]
    return found


def _scores(project: Project, evaluation: str, metric: str, slice: str) -> dict[str, float]:
    """The model's score of each case of a slice ("" for all)."""
    cases = [case for case in read_cases(project.blobs, evaluation) if case.answerer == MODEL]
    known = {name for case in cases for name in case.scores}
    if metric not in known:
        raise Invalid(f"no score a case is called {metric!r}", address=evaluation, hint=nearest(metric, known))
    slices = {name for case in cases for name in case.slices}
    if slice and slice not in slices:
        raise Invalid(f"no case is in the slice {slice!r}", address=evaluation, hint=nearest(slice, slices))
    return {case.row: case.scores[metric] for case in cases if metric in case.scores and slice in ("", *case.slices)}


def read_scores(file: Path, metric: str = "score") -> Scores:
    """The scores of a file of JSON Lines. `NotFound`; `Invalid` with the number of the line that is wrong."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise NotFound(f"cannot read {file}: {error.strerror}", address=str(file)) from error
    found = Scores()
    for number, line in enumerate(lines, 1):
        if line.strip():
            _add(found, line, metric, f"{file}:{number}")
    if not found.scores:
        raise Invalid(f"{file} holds no scores", address=str(file), hint=_SHAPE)
    return found


def _add(found: Scores, line: bytes, metric: str, place: str) -> None:
    try:
        raw = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"{place}: not JSON: {error}", address=place, hint=_SHAPE) from error
    case, score = (raw.get("id"), raw.get(metric)) if isinstance(raw, dict) else (None, None)
    if not isinstance(case, str | int) or isinstance(case, bool):
        raise Invalid(f"{place}: no id", address=place, hint=_SHAPE)
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise Invalid(f"{place}: {metric!r} is not a number", address=place, hint=_SHAPE)
    if str(case) in found.scores:
        raise Invalid(f"{place}: {case!r} comes twice", address=place, hint="one line a case")
    found.scores[str(case)] = float(score)
    if raw.get("group") is not None:
        found.groups[str(case)] = str(raw["group"])
