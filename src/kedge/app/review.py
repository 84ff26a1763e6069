"""Review by people: which cases wait, what was said of them, how far reviewers and judges agree."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import msgspec

from kedge.app.evaluations import find
from kedge.app.project import Project
from kedge.core.address import parse_name
from kedge.core.catalogue import nearest
from kedge.core.dataset import Row
from kedge.core.errors import Invalid, KedgeError, NotFound
from kedge.core.evaluation import CaseResult, Interval
from kedge.core.review import ReviewCase, ReviewLabel, Why
from kedge.data.read import read_rows
from kedge.evaluate.agreement import Corrected, fleiss_kappa, kappa_interval, powered, rogan_gladen
from kedge.evaluate.report import read_cases, read_evaluation
from kedge.evaluate.types import MODEL

WORDS: Mapping[str, float] = {
    **dict.fromkeys(("yes", "right", "good", "correct", "pass", "true"), 1.0),
    **dict.fromkeys(("no", "wrong", "bad", "incorrect", "fail", "false"), 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """A queue: how many cases it has, how many have a label, and who gave how many. `added` are new with this call."""

    queue: str
    cases: int
    labelled: int
    reviewers: Mapping[str, int]
    added: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The next case for a reviewer; None when there is none left. Scores are not shown: they would sway."""

    case: ReviewCase | None
    id: str
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How far two raters agree: share of equal labels, and Cohen's kappa."""

    first: str
    second: str
    cases: int
    equal: float
    kappa: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Reviewers among each other, a judge against them, and what is left of the judge's rate when it is corrected."""

    queue: str
    pairs: tuple[Pair, ...]
    fleiss: float | None
    judge: Pair | None = None
    corrected: tuple[Corrected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Labels that were written to a file."""

    file: str
    rows: int
    undecided: int


def queue(
    project: Project,
    evaluation: str,
    *,
    name: str = "",
    why: Why = Why.SAMPLED,
    metric: str = "",
    cases: int = 50,
) -> QueueView:
    """Put cases of an evaluation into a queue (named like the evaluation unless said otherwise): some drawn by their ids,
    those that failed by a metric, or those on which answerers disagree. What waits already is not added again."""
    digest, _ = find(project, evaluation)
    about = read_evaluation(project.blobs, digest)
    metric = metric or about.scorers[0]
    queue = parse_name(name or digest[7:19], "queue")
    every = read_cases(project.blobs, digest)
    ours = [case for case in every if case.answerer == MODEL]
    if why is not Why.SAMPLED and not any(metric in case.scores for case in ours):
        known = {score for case in ours for score in case.scores}
        raise Invalid(f"no score a case is called {metric!r}", address=metric, hint=nearest(metric, known))
    chosen = _choose(ours, every, why, metric, lower=metric in about.lower)[:cases]
    rows = _rows(project, about.dataset, {case.row for case in chosen})
    now = project.clock.now()
    waiting = [
        ReviewCase(
            queue=queue,
            row=case.row,
            input=rows[case.row].input if case.row in rows else "",
            target=rows[case.row].target if case.row in rows else "",
            answer=case.answer,
            answerer=case.answerer,
            why=why,
            evaluation=digest,
            bundle=about.bundle,
            scores=case.scores,
            added=now,
            by=project.principal,
        )
        for case in chosen
    ]
    with project.recorded("review.queue", queue, evaluation=digest, why=str(why), cases=len(waiting)) as tx:
        added = tx.reviews.add(waiting)
    return _queue_view(project, queue, added=added)


def queues(project: Project) -> list[QueueView]:
    """Every queue."""
    names = dict.fromkeys(case.queue for case in project.ledger.reviews.cases())
    return [_queue_view(project, name) for name in names]


def next_case(project: Project, queue: str = "", *, reviewer: str = "") -> Waiting:
    """The oldest case that this reviewer (whoever asks, unless said otherwise) has not labelled."""
    who = reviewer or project.principal
    done = {label.case for label in project.ledger.reviews.labels(queue) if label.reviewer == who}
    open_ = [case for case in project.ledger.reviews.cases(queue) if case.id not in done]
    return Waiting(case=open_[0] if open_ else None, id=open_[0].id if open_ else "", left=len(open_))


def label(project: Project, case: str, word: str, *, note: str = "", reviewer: str = "") -> ReviewLabel:
    """Label a case, by its id or the beginning of it. A later label of the same person replaces an earlier one."""
    known = [each.id for each in project.ledger.reviews.cases() if each.id.startswith(case)]
    if len(known) != 1 or len(case) < 4:
        problem = Invalid if known else NotFound
        raise problem(
            f"{len(known) or 'no'} cases begin with {case!r}", address=case, hint="kedge review next shows one"
        )
    word = word.strip()
    if not word or len(word) > 200:
        raise Invalid("a label is a word or a few", hint="as in right, wrong, 4")
    given = ReviewLabel(
        case=known[0], reviewer=reviewer or project.principal, label=word, at=project.clock.now(), note=note
    )
    with project.recorded("review.label", given.case, label=word, reviewer=given.reviewer) as tx:
        tx.reviews.label(given)
    return given


def agreement(project: Project, queue: str, *, metric: str = "") -> Agreement:
    """Kappa of each two reviewers, Fleiss' over the cases that all of three or more labelled, and with a judge's `metric`
    its agreement with the majority of them and its rate over the whole evaluation, corrected by their labels.

    A correction holds for cases that were sampled: those put there because they failed are left out.
    """
    cases = {case.id: case for case in project.ledger.reviews.cases(queue)}
    if not cases:
        raise NotFound(f"no queue is called {queue!r}", address=queue, hint=_hint(project))
    by_reviewer: dict[str, dict[str, str]] = defaultdict(dict)
    for given in project.ledger.reviews.labels(queue):
        by_reviewer[given.reviewer][given.case] = given.label
    pairs = [
        _pair(one, other, [(by_reviewer[one][c], by_reviewer[other][c]) for c in sorted(shared)])
        for one, other in combinations(sorted(by_reviewer), 2)
        if (shared := by_reviewer[one].keys() & by_reviewer[other].keys())
    ]
    fleiss = None
    complete = sorted(set.intersection(*(set(labels) for labels in by_reviewer.values()))) if by_reviewer else []
    if len(by_reviewer) > 2 and complete:
        fleiss = fleiss_kappa([[labels[case] for labels in by_reviewer.values()] for case in complete])
    if not metric:
        return Agreement(queue=queue, pairs=tuple(pairs), fleiss=fleiss)
    judged, corrected = _hold_against(project, cases, _majority(by_reviewer), metric)
    return Agreement(queue=queue, pairs=tuple(pairs), fleiss=fleiss, judge=judged, corrected=corrected)


def export(project: Project, queue: str, file: Path) -> Written:
    """Write each labelled case of a queue as a line of JSON that `kedge data ingest` reads: the row's input and target, the
    answer, and the label that most reviewers gave. Cases without a majority are left out."""
    cases = {case.id: case for case in project.ledger.reviews.cases(queue)}
    if not cases:
        raise NotFound(f"no queue is called {queue!r}", address=queue, hint=_hint(project))
    labels: dict[str, dict[str, str]] = defaultdict(dict)
    for given in project.ledger.reviews.labels(queue):
        labels[given.reviewer][given.case] = given.label
    agreed = _majority(labels)
    lines = [
        msgspec.json.encode(
            {
                "input": case.input,
                "target": case.target,
                "answer": case.answer,
                "label": agreed[one],
                "reviewers": sum(one in given for given in labels.values()),
                "row": case.row,
                "bundle": case.bundle,
            }
        )
        for one, case in cases.items()
        if one in agreed
    ]
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_bytes(b"".join(line + b"\n" for line in lines))
    temporary.replace(file)
    labelled = {case for given in labels.values() for case in given}
    return Written(file=str(file), rows=len(lines), undecided=len(labelled) - len(lines))


def number_of(word: str) -> float:
    """A label as a number: right, good, yes are 1; wrong, bad, no are 0. `Invalid` for other words."""
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    try:
        return float(word)
    except ValueError as error:
        raise Invalid(
            f"the label {word!r} is no number", address=word, hint=f"numbers, or: {', '.join(WORDS)}"
        ) from error


def _choose(
    ours: Sequence[CaseResult], every: Sequence[CaseResult], why: Why, metric: str, *, lower: bool
) -> list[CaseResult]:
    drawn = sorted(ours, key=lambda case: hashlib.sha256(case.row.encode()).digest())
    if why is Why.SAMPLED:
        return drawn
    if why is Why.FAILED:
        scored = [case for case in drawn if metric in case.scores]
        middle = sorted(case.scores[metric] for case in scored)[len(scored) // 2]
        bad: Callable[[float], bool] = (lambda value: value > middle) if lower else (lambda value: value < 0.5)
        return [case for case in scored if bad(case.scores[metric])]
    said: dict[str, set[float]] = defaultdict(set)
    for case in every:
        if metric in case.scores:
            said[case.row].add(case.scores[metric])
    return [case for case in drawn if len(said[case.row]) > 1]


def _rows(project: Project, dataset: str, wanted: set[str]) -> dict[str, Row]:
    """The rows by id; none where the cases came from elsewhere."""
    try:
        return {row.id: row for row in read_rows(project.blobs, dataset) if row.id in wanted}
    except KedgeError:
        return {}


def _queue_view(project: Project, name: str, *, added: int = 0) -> QueueView:
    labels = project.ledger.reviews.labels(name)
    return QueueView(
        queue=name,
        cases=len(project.ledger.reviews.cases(name)),
        labelled=len({given.case for given in labels}),
        reviewers=dict(Counter(given.reviewer for given in labels)),
        added=added,
    )


def _majority(by_reviewer: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The label that most gave to each case, where it is one."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for labels in by_reviewer.values():
        for case, word in labels.items():
            votes[case][word] += 1
    agreed = {}
    for case, counts in votes.items():
        (word, most), *rest = counts.most_common(2)
        if not rest or rest[0][1] < most:
            agreed[case] = word
    return agreed


def _pair(one: str, other: str, labels: Sequence[tuple[str, str]]) -> Pair:
    first, second = [pair[0] for pair in labels], [pair[1] for pair in labels]
    equal = sum(a == b for a, b in labels) / len(labels)
    return Pair(first=one, second=other, cases=len(labels), equal=equal, kappa=kappa_interval(first, second))


def _hold_against(
    project: Project, cases: Mapping[str, ReviewCase], agreed: Mapping[str, str], metric: str
) -> tuple[Pair, tuple[Corrected, ...]]:
    """A judge against people, and its rate corrected by them."""
    held = {one: number_of(word) for one, word in agreed.items() if metric in cases[one].scores}
    if not held:
        known = {score for case in cases.values() for score in case.scores}
        raise Invalid(
            f"no labelled case has a score {metric!r}", address=metric, hint=nearest(metric, known) if known else ""
        )
    labels = [(f"{cases[one].scores[metric]:g}", f"{value:g}") for one, value in sorted(held.items())]
    judged = _pair(metric, "reviewers", labels)
    sampled = {one: value for one, value in held.items() if cases[one].why is Why.SAMPLED}
    pairs = [(cases[one].scores[metric], value) for one, value in sampled.items()]
    if len(pairs) < 2:
        return judged, ()
    source = next(cases[one].evaluation for one in sampled)
    every = [
        case.scores[metric]
        for case in read_cases(project.blobs, source)
        if case.answerer == MODEL and metric in case.scores
    ]
    corrected = [powered(every, pairs)]
    if {value for pair in pairs for value in pair} | set(every) <= {0.0, 1.0}:
        try:
            corrected.insert(0, rogan_gladen(every, pairs))
        except Invalid:  # people called everything right, or everything wrong: nothing to correct by
            return judged, tuple(corrected)
    return judged, tuple(corrected)


def _hint(project: Project) -> str:
    names = ", ".join(view.queue for view in queues(project))
    return f"there are: {names}" if names else "kedge review queue EVALUATION makes one"
