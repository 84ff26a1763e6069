"""The work of step `gate`."""

from __future__ import annotations

from collections.abc import Sequence

from kedge.app.steps.gate import GateOptions, gate
from kedge.core.errors import Invalid, NotFound
from kedge.core.evaluation import Outcome
from kedge.core.step import Judge, StepContext, StepResult
from kedge.evaluate.gate import Judged, Other, judge
from kedge.evaluate.report import read_cases, read_evaluation, write_verdict


def work(context: StepContext, options: GateOptions) -> StepResult:
    """Judge the evaluation, which must be of this bundle on this dataset. A failing model does not fail the step."""
    digest = context.inputs["evaluation"].digest
    evaluation = read_evaluation(context.blobs, digest)
    for port, about in (("bundle", evaluation.bundle), ("dataset", evaluation.dataset)):
        if about != context.inputs[port].digest:
            raise Invalid(
                f"the evaluation is of another {port}: {about[:19]}",
                address=digest,
                hint=f"connect the gate to the {port} that was evaluated",
            )
    others = {name: _other(context, found, evaluation.dataset) for name, found in options.against.items()}
    judged = Judged(digest=digest, evaluation=evaluation, cases=read_cases(context.blobs, digest), others=others)
    verdict = judge(gate(options, context.stage), judged)
    counts = {outcome: sum(finding.outcome is outcome for finding in verdict.findings) for outcome in Outcome}
    return StepResult(
        outputs={"verdict": write_verdict(context.blobs, verdict)},
        metrics={f"findings_{outcome}": float(count) for outcome, count in counts.items()},
        effects=(Judge(verdict=verdict),),
    )


def _other(context: StepContext, found: Sequence[str], dataset: str) -> Other:
    """Another version with its newest evaluation on this dataset; `found` is its address, bundle and evaluations."""
    if not found:
        return Other()
    address, bundle, *evaluations = found
    for digest in evaluations:
        try:
            evaluation = read_evaluation(context.blobs, digest)
        except NotFound:  # reclaimed since
            continue
        if evaluation.dataset == dataset and evaluation.bundle == bundle:
            return Other(address=address, bundle=bundle, digest=digest, cases=read_cases(context.blobs, digest))
    return Other(address=address, bundle=bundle)
