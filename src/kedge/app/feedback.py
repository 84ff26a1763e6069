"""What people say of answers, from the command line; the gateway takes it as POST /v1/feedback."""

from __future__ import annotations

from kedge.app.project import Project
from kedge.core.errors import NotFound
from kedge.core.trace import Feedback, parse_receipt

NAME = "rating"


def give(project: Project, receipt: str, value: float, *, name: str = NAME, comment: str = "") -> Feedback:
    """Say how good the answer of a receipt was, from 0 (bad) to 1 (good). `Invalid`; `Refused` for a receipt of another
    project."""
    parsed = parse_receipt(receipt, project.secret)
    said = Feedback(
        trace=parsed.trace,
        name=name,
        value=value,
        at=project.clock.now().timestamp(),
        by=project.principal,
        comment=comment,
        endpoint=_endpoint(project, parsed.trace, parsed.bundle),
        bundle=parsed.bundle,
    )
    project.feedback.add(said)
    return said


def _endpoint(project: Project, trace: str, bundle: str) -> str:
    """Where it was answered; without its trace, the only endpoint that the bundle was ever sent to."""
    try:
        return project.traces.get(trace).endpoint
    except NotFound:
        releases = project.ledger.releases
        sent = {e.name for e in releases.endpoints() if any(r.bundle == bundle for r in releases.history(e.name))}
        return sent.pop() if len(sent) == 1 else ""
