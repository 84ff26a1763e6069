"""How live answers are judged: by the scorers of evaluations, against known targets where there are some."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence

from kedge.app import data
from kedge.app.project import Project
from kedge.app.question import asked
from kedge.app.work.makers import make_means, make_scorers
from kedge.core.dataset import Row
from kedge.core.errors import Invalid, KedgeError
from kedge.core.ports import Silent
from kedge.core.rollout import RolloutPlan
from kedge.core.trace import Trace
from kedge.data.read import read_rows
from kedge.evaluate.types import Answer, Case, Scorer
from kedge.monitor.compare import Judge
from kedge.registry.bundle import read_bundle

logger = logging.getLogger(__name__)

AWAY_SECONDS = 60.0  # how long a judge that does not answer is left alone

Targets = Mapping[bytes, str]


def judges(project: Project, plan: RolloutPlan, bundle: str) -> dict[str, Judge]:
    """What judges the answers of a rollout, by name. `NotFound`; `Invalid` for a scorer that cannot judge live."""
    if not plan.quality:
        return {}
    if not project.config.gateway.trace_content:
        raise Invalid(
            "quality cannot be judged while traces hold no texts",
            hint="set gateway.trace_content = true, or leave quality out of the rollout",
        )
    scorers = make_scorers(plan.quality, make_means(project.root, Silent()))
    for scorer in scorers:
        _check(scorer)
    targets = _targets(project, plan.targets, read_bundle(project.blobs, bundle).prompt)
    found = {scorer.name: _judge(scorer, targets) for scorer in scorers}
    if len(found) < len(scorers):
        raise Invalid("a scorer is named twice in a rollout's quality")
    return found


def _check(scorer: Scorer) -> None:
    graded = scorer.binary or scorer.bounds == (0.0, 1.0)
    whole = scorer.likelihood or scorer.confidence or scorer.corpus or scorer.total or scorer.prepare
    if not graded or whole:
        raise Invalid(
            f"scorer {scorer.name} cannot judge one live answer between 0 and 1",
            address=scorer.name,
            hint="use one that is right or wrong for each answer, as valid_json or exact_match",
        )


def _judge(scorer: Scorer, targets: Targets) -> Judge:
    """A scorer as a judge of live answers; one that scores many at once asks somebody else, which costs.

    Where that one does not answer it has nothing to say for a while, and what else is watched goes on.
    """
    away_until = 0.0

    def score(traces: Sequence[Trace]) -> list[float | None]:
        nonlocal away_until
        if time.monotonic() < away_until:
            return [None] * len(traces)
        cases = [_case(trace, targets) for trace in traces]
        wanted = [case for case in cases if case.row.target or not targets]
        try:
            scores = dict(zip((case.row.id for case in wanted), _scores(scorer, wanted), strict=True))
        except KedgeError as error:
            away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("live answers were not judged", extra={"scorer": scorer.name, "error": error.message})
            return [None] * len(traces)
        return [scores.get(trace.id) for trace in traces]

    return Judge(score=score, costly=scorer.many is not None)


def _case(trace: Trace, targets: Targets) -> Case:
    words = asked(trace)
    row = Row(id=trace.id, input=words, target=targets.get(_key(words), ""), source=f"trace:{trace.id}")
    return Case(row=row, answer=Answer(text=trace.answer, tokens=trace.completion_tokens))


def _scores(scorer: Scorer, cases: Sequence[Case]) -> list[float | None]:
    """The score of each case."""
    said = scorer.many(cases) if scorer.many is not None and cases else [scorer.score(case) for case in cases]
    scores = [each.get(scorer.column) for each in said]
    return [1.0 - score if score is not None and scorer.lower else score for score in scores]


def _targets(project: Project, dataset: str, prompt: str) -> dict[bytes, str]:
    """The right answers to what a dataset's rows ask, plainly or in the bundle's prompt."""
    if not dataset:
        return {}
    digest = data.resolve(project, dataset).digest
    targets: dict[bytes, str] = {}
    for row in read_rows(project.blobs, digest):
        if row.target:
            targets[_key(row.input)] = row.target
            targets[_key(prompt.replace("{input}", row.input))] = row.target
    return targets


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.strip().encode(errors="surrogatepass"), digest_size=16).digest()
