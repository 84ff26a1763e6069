"""What a shadow said beside what callers got."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.app.bound import known_endpoint
from kedge.app.project import Project
from kedge.core.errors import NotFound
from kedge.core.release import Role
from kedge.core.rollout import Rollout
from kedge.core.trace import Receipt, Trace

MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowDiff:
    """One request with both answers. `receipt` is that of the caller's, to trace, replay or pin it."""

    receipt: str
    trace: str
    shadow: str
    prompt: str
    answer: str
    shadowed: str
    error: str = ""

    @property
    def same(self) -> bool:
        """Whether both said the same."""
        return not self.error and self.answer == self.shadowed


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """How often a shadow said the same as the bundle in force, and where it did not, newest first."""

    rollout: Rollout
    compared: int
    same: int
    failed: int
    diffs: tuple[ShadowDiff, ...]


def diffs(project: Project, endpoint: str = "", *, limit: int = 20) -> ShadowReport:
    """Compare the newest 10,000 copies of an endpoint's last rollout. `NotFound` if none had a shadow."""
    bound = known_endpoint(project, endpoint)
    past = project.ledger.rollouts.history(bound.name)
    shadowing = [each for each in past if any(step.role is Role.SHADOW for step in each.plan.steps)]
    if not shadowing:
        raise NotFound(
            f"no rollout to {bound.name} had a shadow",
            address=bound.name,
            hint=f'begin [endpoints.{bound.name}.rollout] steps with {{ role = "shadow", hold = "10m" }}',
        )
    rollout = shadowing[-1]
    since = rollout.started.timestamp() - 1
    kept = project.traces.search(endpoint=bound.name, bundle=rollout.bundle, since=since, limit=MANY)
    copies = [trace for trace in kept if trace.role == Role.SHADOW and trace.parent]
    compared = [_compare(project, copy) for copy in copies]
    found = [each for each in compared if each is not None]
    return ShadowReport(
        rollout=rollout,
        compared=len(found),
        same=sum(each.same for each in found),
        failed=sum(bool(each.error) for each in found),
        diffs=tuple(each for each in found if not each.same)[:limit],
    )


def _compare(project: Project, copy: Trace) -> ShadowDiff | None:
    """Both answers, if the caller's is kept."""
    try:
        parent = project.traces.get(copy.parent)
    except NotFound:
        return None
    return ShadowDiff(
        receipt=Receipt(trace=parent.id, bundle=parent.bundle).sealed(project.secret),
        trace=parent.id,
        shadow=copy.id,
        prompt=parent.prompt,
        answer=parent.answer,
        shadowed=copy.answer,
        error=copy.error,
    )
