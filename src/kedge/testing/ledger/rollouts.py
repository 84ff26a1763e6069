"""What a ledger must do with rollouts, their history and the lease of who decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kedge.core.errors import Conflict, NotFound
from kedge.core.ledger import Ledger
from kedge.core.release import Endpoint, Role
from kedge.core.rollout import Reading, Rollout, RolloutEvent, RolloutPlan, RolloutState, RolloutStep, Standing
from kedge.testing.ledger.make import at, make_digest

PLAN = RolloutPlan(
    steps=(RolloutStep(role=Role.SHADOW, hold="10m"), RolloutStep(share=0.05, hold="1h", min_answers=100)),
    quality=("valid_json", {"name": "regex", "pattern": "a+"}),
)


def make_rollout(id: str = "r1", **changes: Any) -> Rollout:
    """A rollout of `schemas@2` to the endpoint `api`."""
    rollout = Rollout(
        id=id,
        endpoint="api",
        model="schemas",
        alias="production",
        version=2,
        bundle=make_digest("b"),
        before=1,
        before_bundle=make_digest("a"),
        plan=PLAN,
        started=at(),
        by="user:ada",
        step_at=at(),
        limits={"latency": 120.5},
    )
    return replace(rollout, **changes)


def make_event(action: str, seconds: float = 0, **changes: Any) -> RolloutEvent:
    """An entry of its history."""
    return replace(RolloutEvent(rollout="r1", at=at(seconds), by="user:ada", action=action, step=0), **changes)


READING = Reading(
    measure="errors",
    standing=Standing.WORSE,
    old=0.01,
    new=0.2,
    old_answers=1000,
    new_answers=100,
    p_worse=0.001,
    p_fine=1.0,
    low=0.05,
    high=0.3,
    margin=0.02,
    traces=("0" * 32,),
)


class RolloutsConformance:
    """One at a time, changed only by who has seen the last change."""

    def test_a_rollout_comes_back_as_it_was_started(self, ledger: Ledger) -> None:
        ledger.releases.bind(Endpoint(name="api", model="schemas", alias="production"))
        rollout = make_rollout()
        ledger.rollouts.start(rollout, make_event("started"))
        assert ledger.rollouts.get("r1") == ledger.rollouts.active("api") == rollout
        assert ledger.rollouts.active("elsewhere") is None
        with pytest.raises(NotFound):
            ledger.rollouts.get("r2")

    def test_an_endpoint_has_one_rollout_at_a_time(self, ledger: Ledger) -> None:
        ledger.releases.bind(Endpoint(name="api", model="schemas", alias="production"))
        ledger.releases.bind(Endpoint(name="other", model="schemas", alias="production"))
        ledger.rollouts.start(make_rollout(), make_event("started"))
        with pytest.raises(Conflict, match="under way"):
            ledger.rollouts.start(make_rollout("r2"), make_event("started", rollout="r2"))
        ledger.rollouts.start(make_rollout("r3", endpoint="other"), make_event("started", rollout="r3"))
        ended = make_rollout(state=RolloutState.WITHDRAWN, ended=at(9), reason="worse")
        ledger.rollouts.change(make_rollout(), ended, make_event("withdrawn", 9))
        assert ledger.rollouts.active("api") is None
        ledger.rollouts.start(make_rollout("r4", started=at(10)), make_event("started", rollout="r4"))
        assert ledger.rollouts.history("api") == [ended, make_rollout("r4", started=at(10))]
        assert len(ledger.rollouts.history()) == 3

    def test_a_change_that_has_not_seen_the_last_one_is_a_conflict(self, ledger: Ledger) -> None:
        ledger.releases.bind(Endpoint(name="api", model="schemas", alias="production"))
        first, second = make_rollout(), make_rollout(step=1, step_at=at(600), traces=7)
        ledger.rollouts.start(first, make_event("started"))
        ledger.rollouts.change(first, second, make_event("advanced", 600, step=1))
        with pytest.raises(Conflict, match="meanwhile"):
            ledger.rollouts.change(first, replace(first, state=RolloutState.PAUSED), make_event("paused", 601))
        assert ledger.rollouts.active("api") == second

    def test_what_happened_is_kept_in_order_with_what_was_known(self, ledger: Ledger) -> None:
        ledger.releases.bind(Endpoint(name="api", model="schemas", alias="production"))
        ledger.rollouts.start(make_rollout(), make_event("started"))
        ended = make_rollout(state=RolloutState.WITHDRAWN)
        last = make_event("withdrawn", 5, reason="worse", readings=(READING,))
        ledger.rollouts.change(make_rollout(), ended, last)
        assert ledger.rollouts.events("r1") == [make_event("started"), last]
        assert ledger.rollouts.events("r2") == []

    def test_a_lease_is_one_holders_until_its_time_is_over(self, ledger: Ledger) -> None:
        rollouts = ledger.rollouts
        assert rollouts.lease("api", "one", at=at(0), until=at(10))
        assert rollouts.lease("api", "one", at=at(5), until=at(15))
        assert not rollouts.lease("api", "two", at=at(14), until=at(24))
        assert rollouts.lease("other", "two", at=at(14), until=at(24))
        assert rollouts.lease("api", "two", at=at(15), until=at(25))
        assert not rollouts.lease("api", "one", at=at(16), until=at(26))
