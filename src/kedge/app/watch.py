"""Looks after the rollout of one endpoint: takes in what is new, decides, and carries the decision out.

What it knows is made of the ledger and the traces alone: killed at any moment, it starts again where things stand.
Several may look after one endpoint; a lease in the ledger says which one decides.
"""

from __future__ import annotations

import copy
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kedge.app import rollouts
from kedge.app.bound import known_endpoint
from kedge.app.live import judges
from kedge.app.project import Project
from kedge.core.errors import Conflict, NotFound, Refused
from kedge.core.release import Role
from kedge.core.rollout import Reading, Rollout, RolloutEvent
from kedge.deploy.judge import Action, Decision, judge
from kedge.monitor.compare import Comparison

LEASE = timedelta(seconds=10)
RENEWED = timedelta(seconds=3)
MANY = 2_000

PRINCIPAL = "kedge:rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found: the rollout under way (if any), what is known, and what was decided."""

    rollout: Rollout | None = None
    answers: int = 0
    readings: tuple[Reading, ...] = ()
    decision: Decision | None = None
    leads: bool = True

    @property
    def changed(self) -> bool:
        """Whether what is in force is another than before."""
        return self.leads and self.decision is not None and self.decision.action is not Action.HOLD


class Watch:
    """Looks after an endpoint's rollout, again and again, from one thread."""

    def __init__(self, project: Project, endpoint: str) -> None:
        _ = project.ledger, project.traces, project.feedback  # opened once, for both
        self._project = copy.copy(project)
        self._project.principal = PRINCIPAL
        self._endpoint = endpoint
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._leased: datetime | None = None
        self._evidence: Evidence | None = None

    def look(self) -> Look:
        """Take in what is new and do what follows from it. A look at an endpoint without a rollout costs one read."""
        rollout = self._project.ledger.rollouts.active(self._endpoint)
        if rollout is None:
            self._evidence = None
            return Look()
        if not self._leads():
            return Look(rollout=rollout, leads=False)
        if self._evidence is None or not self._evidence.is_about(rollout):
            self._evidence = Evidence(self._project, rollout)
        self._evidence.read()
        return self._decide(rollout, self._evidence.comparison)

    def _leads(self) -> bool:
        """Whether this process decides: it holds the lease, which is renewed now and then."""
        now = self._project.clock.now()
        if self._leased is not None and self._leased <= now < self._leased + RENEWED:
            return True
        leads = self._project.ledger.rollouts.lease(
            f"rollout:{self._endpoint}", self._holder, at=now, until=now + LEASE
        )
        self._leased = now if leads else None
        return leads

    def _decide(self, rollout: Rollout, comparison: Comparison) -> Look:
        readings = comparison.readings()
        now = self._project.clock.now()
        decision = _overtaken(self._project, rollout) or judge(rollout, readings, answers=comparison.answers, now=now)
        try:
            _carry_out(self._project, rollout, decision, readings)
        except Conflict:  # a person was quicker: the next look sees what they did
            decision = Decision(action=Action.HOLD, reason="it was changed meanwhile")
        return Look(rollout=rollout, answers=comparison.answers, readings=readings, decision=decision)


class Evidence:
    """What is known of a rollout's shadow or its canary, read on from where one stopped."""

    def __init__(self, project: Project, rollout: Rollout) -> None:
        self.comparison = Comparison(rollout, judges(project, rollout.plan, rollout.bundle))
        self._project = project
        self._rollout = rollout
        self._role = rollout.here.role
        self._traces = rollout.traces
        self._voices = rollout.voices

    def is_about(self, rollout: Rollout) -> bool:
        """Whether this is evidence about where the rollout is now; a canary with another share is the same canary."""
        if (rollout.id, rollout.traces) != (self._rollout.id, self._rollout.traces):
            return False
        if rollout.step != self._rollout.step:
            self.comparison.carry_on(rollout)
        self._rollout = rollout
        return rollout.here.role is self._role

    def read(self) -> None:
        """Take in the traces and the feedback since the last time."""
        endpoint = self._rollout.endpoint
        while traces := self._project.traces.after(self._traces, endpoint=endpoint, limit=MANY):
            self.comparison.take(*(trace.value for trace in traces))
            self._traces = traces[-1].number
        while self._rollout.plan.feedback and (
            voices := self._project.feedback.after(self._voices, endpoint=endpoint, limit=MANY)
        ):
            for said in voices:
                self.comparison.hear(said.value)
            self._voices = voices[-1].number


def _overtaken(project: Project, rollout: Rollout) -> Decision | None:
    """Withdraw what is compared with a bundle that is no longer the stable one."""
    stable = project.ledger.releases.current(rollout.endpoint).get(Role.STABLE)
    if stable is None or stable.bundle == rollout.before_bundle:
        return None
    now = f"{stable.model}@{stable.version}"
    return Decision(
        action=Action.WITHDRAW, reason=f"{now} took the place of {rollout.model}@{rollout.before} meanwhile"
    )


def _carry_out(project: Project, rollout: Rollout, decision: Decision, readings: tuple[Reading, ...]) -> None:
    if decision.action is Action.ADVANCE:
        rollouts.advance(project, rollout, decision.reason, readings)
    elif decision.action is Action.WITHDRAW:
        rollouts.withdraw(project, rollout, decision.reason, readings)
    elif decision.action is Action.PROMOTE:
        try:
            rollouts.finish(project, rollout, decision.reason, readings)
        except Refused as refusal:
            rollouts.withdraw(project, rollout, f"promotion was refused: {refusal.message}", readings)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """A rollout as it stands: what has happened, what is known now, and what would be decided."""

    rollout: Rollout
    events: tuple[RolloutEvent, ...]
    answers: int = 0
    readings: tuple[Reading, ...] = ()
    decision: Decision | None = None


def status(project: Project, endpoint: str = "") -> RolloutStatus:
    """The endpoint's rollout under way, or the last one. Reads every answer of its step. `NotFound` without one."""
    bound = known_endpoint(project, endpoint)
    past = project.ledger.rollouts.history(bound.name)
    if not past:
        raise NotFound(
            f"there was no rollout to {bound.name}",
            address=bound.name,
            hint=f"kedge rollout start {bound.name} {bound.model}@VERSION",
        )
    rollout = past[-1]
    events = tuple(project.ledger.rollouts.events(rollout.id))
    if not rollout.is_under_way:
        return RolloutStatus(rollout=rollout, events=events, readings=events[-1].readings)
    evidence = Evidence(project, rollout)
    evidence.read()
    readings, answers = evidence.comparison.readings(), evidence.comparison.answers
    decision = judge(rollout, readings, answers=answers, now=project.clock.now())
    return RolloutStatus(rollout=rollout, events=events, answers=answers, readings=readings, decision=decision)


def watch(project: Project, endpoint: str = "", *, seconds: float = 1.0) -> Iterator[Look]:
    """Look after an endpoint's rollout until it ends, as a gateway does that serves it. `NotFound` without one."""
    rollout = rollouts.active(project, endpoint)
    watching = Watch(project, rollout.endpoint)
    while True:
        look = watching.look()
        if look.rollout is None:
            return
        yield look
        time.sleep(0.0 if look.changed else seconds)
