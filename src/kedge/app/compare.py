"""Is B better than A? Two versions on the cases both were evaluated on, or two files of scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from kedge.app.aliases import resolve
from kedge.app.project import Project
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, NotFound
from kedge.core.evaluation import CaseResult, Evaluation, Outcome
from kedge.core.ledger import Ledger
from kedge.core.model import ModelVersion
from kedge.evaluate.compare import SEEN, Pairs, answer, overall, pair
from kedge.evaluate.compare import Comparison as Comparison
from kedge.evaluate.compare import Question as Question
from kedge.evaluate.needed import cases_to_see, power_to_see, spread_alone, spread_of
from kedge.evaluate.report import read_cases, read_evaluation
from kedge.evaluate.types import MODEL
from kedge.statistics.differences import span
from kedge.statistics.intervals import Floats

SCORE = "score"
LOWER = ":lower"

_SHAPE = 'each line is {"id": "...", "score": number}, with "group" if cases share one'


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was compared, and the answer: that to the first question, and all of them. `verdict` is over all: fail if one
    fails, else undecided if one is. `dataset` is what both were evaluated on ("" for files)."""

    a: str
    b: str
    verdict: Outcome
    answers: tuple[Comparison, ...]
    dataset: str = ""

    @property
    def answer(self) -> Comparison:
        """The answer to the first question."""
        return self.answers[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a comparison would cost, before it is made. `needed` cases show a difference of `see` four times out of five;
    `power` is how often as many as there are, `have`, would. `guessed`: B's scores are not known, and it is taken to be
    right or wrong independently of A, which is on the safe side."""

    metric: str
    see: float
    needed: int
    have: int
    power: float
    guessed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores by metric and case, with the group of each case that has one."""

    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def questions(
    metrics: Sequence[str], margins: Sequence[str] = (), *, alpha: float = 0.05, lower: bool = False, see: float = 0.0
) -> tuple[Question, ...]:
    """The questions that words on a command line ask. `metrics` are names, with `:lower` behind where smaller is better;
    `margins` are numbers for all metrics, or `metric=number` for one. `Invalid`."""
    names = [metric.removesuffix(LOWER) for metric in metrics] or [""]
    if len(set(names)) < len(names):
        raise Invalid(f"a metric is named twice: {', '.join(names)}")
    given = _margins(margins, names)
    return tuple(
        Question(
            metric=name,
            margin=given.get(name, given.get("", 0.0)),
            alpha=alpha,
            lower=lower or f"{name}{LOWER}" in metrics,
            see=see,
        )
        for name in names
    )


def _margins(margins: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    found = {}
    for margin in margins:
        name, _, number = margin.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise Invalid(f"not a margin: {margin!r}", hint="write 0.02, or metric=-0.02 for one metric") from error
        if not math.isfinite(found[name]):
            raise Invalid(f"not a margin: {margin!r}", hint="write a number, as 0.02")
        if name and name not in names:
            raise Invalid(f"a margin for {name!r}, which is not compared", hint=f"--metric {name}")
    return found


def are_files(*names: str) -> bool:
    """Whether the names are files: they are there, or are written like paths."""
    return all(Path(name).is_file() or "/" in name or name.endswith(".jsonl") for name in names)


def compare_files(a: Path, b: Path, asked: Sequence[Question]) -> Compared:
    """Compare two files of JSON Lines with `id`, the metrics (`score` unless named) and perhaps `group`. `Invalid` names
    the line that cannot be read."""
    asked = [question if question.metric else replace(question, metric=SCORE) for question in asked]
    names = [question.metric for question in asked]
    first, second = read_scores(a, names), read_scores(b, names)
    for case in first.groups.keys() & second.groups.keys():
        if first.groups[case] != second.groups[case]:
            raise Invalid(f"{case!r} is in group {first.groups[case]!r} of A and {second.groups[case]!r} of B")
    groups = {**first.groups, **second.groups}
    pairs = [pair(first.scores[q.metric], second.scores[q.metric], q, groups=groups) for q in asked]
    return _compared(str(a), str(b), pairs)


def compare_versions(project: Project, a: str, b: str, asked: Sequence[Question], *, slice: str = "") -> Compared:
    """Compare two versions by their newest evaluations on one dataset. Without a metric named, the first scorer's; of
    metrics that are known to be better when smaller, smaller is better.

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
    known = read_evaluation(project.blobs, ours[dataset])
    asked = [_about(question, known) for question in asked]
    before, after = (read_cases(project.blobs, evaluations[dataset]) for evaluations in (theirs, ours))
    pairs = [
        pair(_scores(before, q.metric, slice, ours[dataset]), _scores(after, q.metric, slice, ours[dataset]), q)
        for q in asked
    ]
    return _compared(first.address, second.address, pairs, dataset)


def plan_files(a: Path, b: Path | None, asked: Sequence[Question], *, cases: int = 0) -> list[Planned]:
    """What comparing two files would cost; without B, comparing A with something as good. `cases` instead of A's."""
    asked = [question if question.metric else replace(question, metric=SCORE) for question in asked]
    names = [question.metric for question in asked]
    first, second = read_scores(a, names), read_scores(b, names) if b else None
    return [_plan(q, first.scores[q.metric], second.scores[q.metric] if second else None, cases) for q in asked]


def plan_versions(project: Project, a: str, asked: Sequence[Question], *, cases: int = 0) -> list[Planned]:
    """What comparing a version with another that is as good would cost, by its newest evaluation."""
    version = resolve(project.ledger, a)
    evaluations = list(_evaluations(project.ledger, version).values())
    if not evaluations:
        raise NotFound(f"{version.address} was not evaluated", address=version.address, hint="run its evaluate stage")
    known = read_evaluation(project.blobs, evaluations[-1])
    found = read_cases(project.blobs, evaluations[-1])
    asked = [_about(question, known) for question in asked]
    return [_plan(q, _scores(found, q.metric, "", evaluations[-1]), None, cases) for q in asked]


def _plan(question: Question, a: Mapping[str, float], b: Mapping[str, float] | None, cases: int) -> Planned:
    first: Floats = np.array(list(a.values()), dtype=np.float64)
    second = first
    have = cases or len(a)
    if b is not None:
        pairs = pair(a, b, question)
        first, second, have = pairs.first, pairs.second, cases or len(pairs.first)
    spread = spread_alone(first) if b is None else spread_of(first, second)
    low, high = span(first, second)
    see = question.see or SEEN * (high - low)
    return Planned(
        metric=question.metric,
        see=see,
        needed=cases_to_see(see, spread, alpha=question.alpha),
        have=have,
        power=power_to_see(see, spread, have, alpha=question.alpha),
        guessed=b is None,
    )


def _compared(a: str, b: str, pairs: Sequence[Pairs], dataset: str = "") -> Compared:
    answers = tuple(answer(pairs))
    return Compared(a=a, b=b, verdict=overall(answers), answers=answers, dataset=dataset)


def _about(question: Question, known: Evaluation) -> Question:
    metric = question.metric or known.scorers[0]
    return replace(question, metric=metric, lower=question.lower or metric in known.lower)


def _evaluations(ledger: Ledger, version: ModelVersion) -> dict[str, str]:
    """The newest evaluation of a version on each dataset, the newest last."""
    found: dict[str, str] = {}
    for run in ledger.runs.using(version.bundle):
        if "evaluation" in run.outputs and "dataset" in run.inputs:
            found.pop(run.inputs["dataset"], None)
            found[run.inputs["dataset"]] = run.outputs["evaluation"]
    return found


def _scores(cases: Sequence[CaseResult], metric: str, slice: str, address: str) -> dict[str, float]:
    """The model's score of each case of a slice ("" for all)."""
    cases = [case for case in cases if case.answerer == MODEL]
    known = {name for case in cases for name in case.scores}
    if metric not in known:
        raise Invalid(f"no score a case is called {metric!r}", address=address, hint=nearest(metric, known))
    slices = {name for case in cases for name in case.slices}
    if slice and slice not in slices:
        raise Invalid(f"no case is in the slice {slice!r}", address=address, hint=nearest(slice, slices))
    return {case.row: case.scores[metric] for case in cases if metric in case.scores and slice in ("", *case.slices)}


def read_scores(file: Path, metrics: Sequence[str] = (SCORE,)) -> Scores:
    """The scores of a file of JSON Lines. `NotFound`; `Invalid` with the number of the line that is wrong."""
    found = Scores(scores={metric: {} for metric in metrics})
    seen: set[str] = set()
    for number, line in _lines(file):
        case = _add(found, line, metrics, f"{file}:{number}")
        if case in seen:
            raise Invalid(f"{file}:{number}: {case!r} comes twice", address=f"{file}:{number}", hint="one line a case")
        seen.add(case)
    if not seen:
        raise Invalid(f"{file} holds no scores", address=str(file), hint=_SHAPE)
    return found


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise NotFound(f"cannot read {file}: {error.strerror}", address=str(file)) from error
    return ((number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip())


def _add(found: Scores, line: bytes, metrics: Sequence[str], place: str) -> str:
    """Take one line; its case."""
    try:
        raw = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"{place}: not JSON: {error}", address=place, hint=_SHAPE) from error
    case = raw.get("id") if isinstance(raw, dict) else None
    if not isinstance(case, str | int) or isinstance(case, bool):
        raise Invalid(f"{place}: no id", address=place, hint=_SHAPE)
    for metric in metrics:
        score = raw.get(metric)
        try:
            finite = isinstance(score, int | float) and math.isfinite(score)
        except OverflowError:
            finite = False
        if not finite:
            raise Invalid(f"{place}: {metric!r} is not a number", address=place, hint=_SHAPE)
        found.scores[metric][str(case)] = float(score)
    if raw.get("group") is not None:
        found.groups[str(case)] = str(raw["group"])
    return str(case)
