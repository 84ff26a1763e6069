"""Rollouts: started, held, ended and looked at. Each change is one transaction with its releases and audit record."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from kedge.app import models
from kedge.app.aliases import resolve
from kedge.app.bound import bind, known_endpoint
from kedge.app.project import Project
from kedge.core.errors import Conflict, Invalid, NotFound, Refused
from kedge.core.ledger import Ledger
from kedge.core.model import ModelVersion
from kedge.core.release import Endpoint, Release, Role
from kedge.core.rollout import Reading, Rollout, RolloutEvent, RolloutPlan, RolloutState, RolloutStep
from kedge.monitor.price import price

USUAL = 1_000  # newest answers that the usual cost is taken from


def start(project: Project, endpoint: str, address: str, *, override: str = "") -> Rollout:
    """Send a version to an endpoint step by step, as the plan in the project file says.

    `Refused` where a promotion would be: a protected alias needs its verdicts, or `override` and its reason. `Conflict`
    while another rollout of the endpoint is under way.
    """
    bound = bind(project, endpoint)
    plan = _plan(project, bound)
    live = importlib.import_module("kedge.app.live")  # by name: what ends a rollout needs no scorers
    live.judges(project, plan, resolve(project.ledger, address, exact=True).bundle)
    traces, voices = project.traces.last(), project.feedback.last()
    with project.ledger.begin() as tx:
        version = resolve(tx, address, exact=True)
        stable = _stable(tx, bound, version)
        permission = models.permit(project, tx, version, bound.alias, override=override.strip())
        now = project.clock.now()
        rollout = Rollout(
            id=secrets.token_hex(8),
            endpoint=bound.name,
            model=bound.model,
            alias=bound.alias,
            version=version.version,
            bundle=version.bundle,
            before=stable.version,
            before_bundle=stable.bundle,
            plan=plan,
            started=now,
            by=project.principal,
            step_at=now,
            traces=traces,
            voices=voices,
            limits=_limits(project, bound.name, stable.bundle),
            override=override.strip(),
        )
        event = _event(project, rollout, "started", f"overridden: {override}" if permission.overridden else "")
        facts = {"bundle": version.bundle, "objections": list(permission.objections)}
        with project.recorded("rollout-start", bound.name, **_facts(rollout), **facts) as inner:
            inner.rollouts.start(rollout, event)
            _send(inner, rollout, rollout.here, now=now, by=project.principal)
    return rollout


def advance(project: Project, rollout: Rollout, reason: str, readings: Sequence[Reading] = ()) -> Rollout:
    """Take the next step of the plan. `Conflict` if the rollout was changed meanwhile."""
    now = project.clock.now()
    after = replace(rollout, step=rollout.step + 1, step_at=now)
    if after.here.role is not rollout.here.role:  # what a shadow said is no evidence about a canary
        after = replace(after, traces=project.traces.last(), voices=project.feedback.last())
    with project.recorded("rollout-advance", rollout.endpoint, reason=reason, **_facts(after)) as tx:
        tx.rollouts.change(rollout, after, _event(project, after, "advanced", reason, readings))
        if after.here.role is not rollout.here.role:
            _end(tx, rollout, rollout.here.role, now=now, by=project.principal, reason=reason)
        _send(tx, after, after.here, now=now, by=project.principal)
    return after


def withdraw(project: Project, rollout: Rollout, reason: str, readings: Sequence[Reading] = ()) -> Rollout:
    """Take the new bundle out of the traffic because of what it did. `Conflict` if the rollout was changed meanwhile."""
    return _stop(project, rollout, RolloutState.WITHDRAWN, reason, readings)


def finish(project: Project, rollout: Rollout, reason: str, readings: Sequence[Reading] = ()) -> Rollout:
    """Give the new bundle all of the traffic: its alias is promoted by the same verb, and by the same right, as by hand.

    `Refused` if its permission is gone; `Conflict` if the rollout was changed meanwhile.
    """
    now = project.clock.now()
    after = replace(rollout, state=RolloutState.PROMOTED, ended=now, reason=reason)
    with project.recorded("rollout-promote", rollout.endpoint, reason=reason, **_facts(after)) as tx:
        tx.rollouts.change(rollout, after, _event(project, after, "promoted", reason, readings))
        models.promote(project, rollout.address, rollout.alias, override=rollout.override)
        _end(tx, rollout, rollout.here.role, now=now, by=project.principal, reason=reason)
    return after


def abort(project: Project, endpoint: str = "", *, reason: str = "") -> Rollout:
    """End the rollout of an endpoint by hand: all traffic is the stable bundle's again. `NotFound` if there is none."""
    return _stop(project, active(project, endpoint), RolloutState.ABORTED, reason.strip(), ())


def promote(project: Project, endpoint: str = "", *, reason: str = "") -> Rollout:
    """End the rollout of an endpoint by giving the new bundle all of the traffic now. `NotFound`; `Refused`."""
    return finish(project, active(project, endpoint), reason.strip() or "promoted by hand")


def pause(project: Project, endpoint: str = "", *, reason: str = "") -> Rollout:
    """Hold a rollout where it is: its share stays as it is and nothing is decided. `NotFound`."""
    return _hold(project, endpoint, RolloutState.RUNNING, RolloutState.PAUSED, reason.strip())


def resume(project: Project, endpoint: str = "", *, reason: str = "") -> Rollout:
    """Let a paused rollout go on. `NotFound`."""
    return _hold(project, endpoint, RolloutState.PAUSED, RolloutState.RUNNING, reason.strip())


def take_back(project: Project, target: str, *, reason: str = "") -> Rollout | None:
    """End the rollout to the endpoint that `target` names, if it names one and a rollout is under way; else None."""
    if project.ledger.rollouts.active(target) is None:
        return None
    return abort(project, target, reason=reason or "taken back")


def active(project: Project, endpoint: str = "") -> Rollout:
    """The rollout of an endpoint that is under way. `NotFound`."""
    bound = known_endpoint(project, endpoint)
    found = project.ledger.rollouts.active(bound.name)
    if found is None:
        raise NotFound(
            f"no rollout to {bound.name} is under way",
            address=bound.name,
            hint=f"kedge rollout start {bound.name} {bound.model}@VERSION; kedge rollout history {bound.name}",
        )
    return found


def _stop(project: Project, rollout: Rollout, state: RolloutState, reason: str, readings: Sequence[Reading]) -> Rollout:
    now = project.clock.now()
    after = replace(rollout, state=state, ended=now, reason=reason)
    action = "rollout-withdraw" if state is RolloutState.WITHDRAWN else "rollout-abort"
    deciding = sorted({trace for reading in readings for trace in reading.traces})
    with project.recorded(action, rollout.endpoint, reason=reason, traces=deciding, **_facts(after)) as tx:
        tx.rollouts.change(rollout, after, _event(project, after, str(state), reason, readings))
        _end(tx, rollout, rollout.here.role, now=now, by=project.principal, reason=reason)
    return after


def _hold(project: Project, endpoint: str, at: RolloutState, to: RolloutState, reason: str) -> Rollout:
    rollout = active(project, endpoint)
    if rollout.state is to:
        return rollout
    if rollout.state is not at:
        raise Conflict(f"the rollout to {rollout.endpoint} is {rollout.state}", address=rollout.endpoint)
    after = replace(rollout, state=to)
    word = "paused" if to is RolloutState.PAUSED else "resumed"
    with project.recorded(f"rollout-{word.removesuffix('d')}", rollout.endpoint, reason=reason, **_facts(after)) as tx:
        tx.rollouts.change(rollout, after, _event(project, after, word, reason))
    return after


def _plan(project: Project, endpoint: Endpoint) -> RolloutPlan:
    settings = project.config.endpoints.get(endpoint.name)
    if settings is None or settings.rollout is None:
        raise Invalid(
            f"the endpoint {endpoint.name} has no rollout plan",
            address=endpoint.name,
            hint=f"write [endpoints.{endpoint.name}.rollout] with steps = [{{ share = 0.05, hold = '10m' }}] in kedge.toml, "
            "or let it take over at once: kedge promote",
        )
    return settings.rollout


def _stable(tx: Ledger, endpoint: Endpoint, version: ModelVersion) -> Release:
    """What the new bundle is compared with."""
    if version.name != endpoint.model:
        raise Invalid(
            f"{endpoint.name} serves {endpoint.model}, not {version.name}",
            address=version.address,
            hint=f"name a version of {endpoint.model}",
        )
    stable = tx.releases.current(endpoint.name).get(Role.STABLE)
    if stable is None:
        raise Refused(
            f"nothing is released to {endpoint.name} yet, so there is nothing to compare with",
            address=endpoint.name,
            hint=f"the first version takes over at once: kedge promote {version.address} --alias {endpoint.alias}",
        )
    if stable.bundle == version.bundle:
        raise Invalid(f"{version.address} is what {endpoint.name} serves already", address=version.address)
    return stable


def _limits(project: Project, endpoint: str, bundle: str) -> dict[str, float]:
    """What answers of the stable bundle usually cost, where enough of them are on record."""
    costs = [
        price(trace)
        for trace in project.traces.search(endpoint=endpoint, bundle=bundle, limit=USUAL)
        if trace.status == 200 and not trace.cache
    ]
    return {"cost": max(sum(costs) / len(costs), 1e-9)} if len(costs) >= 50 else {}


def _send(tx: Ledger, rollout: Rollout, step: RolloutStep, *, now: datetime, by: str) -> None:
    tx.releases.send(_release(rollout, step.role, step.part, now=now, by=by, reason=f"rollout {rollout.id}: {step}"))


def _end(tx: Ledger, rollout: Rollout, role: Role, *, now: datetime, by: str, reason: str) -> None:
    """Give the part of the traffic back."""
    why = f"rollout {rollout.id}: {reason}" if reason else f"rollout {rollout.id}"
    tx.releases.send(_release(rollout, role, 0.0, now=now, by=by, reason=why))


def _release(rollout: Rollout, role: Role, share: float, *, now: datetime, by: str, reason: str) -> Release:
    return Release(
        id=0,
        endpoint=rollout.endpoint,
        model=rollout.model,
        version=rollout.version,
        bundle=rollout.bundle,
        role=role,
        share=share,
        at=now,
        by=by,
        reason=reason,
    )


def _event(
    project: Project, rollout: Rollout, action: str, reason: str = "", readings: Sequence[Reading] = ()
) -> RolloutEvent:
    return RolloutEvent(
        rollout=rollout.id,
        at=project.clock.now(),
        by=project.principal,
        action=action,
        step=rollout.step,
        reason=reason,
        readings=tuple(readings),
    )


def _facts(rollout: Rollout) -> dict[str, object]:
    """What the audit chain says of a rollout."""
    return dict(_said(rollout))


def _said(rollout: Rollout) -> Iterator[tuple[str, object]]:
    yield "rollout", rollout.id
    yield "version", rollout.address
    yield "before", f"{rollout.model}@{rollout.before}"
    yield "state", str(rollout.state)
    yield "step", rollout.step
    yield "at", str(rollout.here)
