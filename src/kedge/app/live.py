"""How live answers are judged: by the scorers of evaluations, against known targets where there are some."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from kedge.app import data
from kedge.app.project import Project
from kedge.app.question import asked
from kedge.app.steps.evaluate import read_spec
from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.rollout import RolloutPlan
from kedge.core.spec import Spec
from kedge.core.trace import Trace
from kedge.data.read import read_rows
from kedge.evaluate.types import Answer, Case, Scorer
from kedge.monitor.compare import Judge
from kedge.plugins import catalogue
from kedge.registry.bundle import read_bundle

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
    known = catalogue("scorer", "kedge.scorers")
    prompt = read_bundle(project.blobs, bundle).prompt
    targets = _targets(project, plan.targets, prompt)
    specs = [read_spec(given) for given in plan.quality]
    scorers = [scorer for spec in specs for scorer in _make(known.get(spec.name), spec)]
    found = {scorer.name: _judge(scorer, targets) for scorer in scorers}
    if len(found) < len(scorers):
        raise Invalid("a scorer is named twice in a rollout's quality")
    return found


def _make(maker: Callable[..., Scorer | Sequence[Scorer]], spec: Spec) -> Sequence[Scorer]:
    try:
        made = maker(**spec.args)
    except TypeError as error:
        raise Invalid(f"scorer {spec.name}: {error}", address=spec.name) from error
    scorers = [made] if isinstance(made, Scorer) else list(made)
    for scorer in scorers:
        graded = scorer.binary or scorer.bounds == (0.0, 1.0)
        if not graded or scorer.likelihood or scorer.confidence or scorer.corpus or scorer.total:
            raise Invalid(
                f"scorer {scorer.name} cannot judge one live answer between 0 and 1",
                address=spec.name,
                hint="use one that is right or wrong for each answer, as valid_json or exact_match",
            )
    return scorers


def _judge(scorer: Scorer, targets: Targets) -> Judge:
    def judge(trace: Trace) -> float | None:
        words = asked(trace)
        target = targets.get(_key(words), "")
        if targets and not target:
            return None
        row = Row(id=trace.id, input=words, target=target, source=f"trace:{trace.id}")
        case = Case(row=row, answer=Answer(text=trace.answer, tokens=trace.completion_tokens))
        scores = scorer.many([case])[0] if scorer.many is not None else scorer.score(case)
        score = scores.get(scorer.column)
        return None if score is None else 1.0 - score if scorer.lower else score

    return judge


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
