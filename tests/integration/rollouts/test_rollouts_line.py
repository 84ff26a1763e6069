"""A rollout from its start to its end, decided from what is on record alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kedge.app import models, released, rollouts, shadowed
from kedge.app.watch import LEASE, Watch, status
from kedge.config import load_config
from kedge.core.errors import Conflict, Invalid, NotFound, Refused
from kedge.core.release import Role
from kedge.core.rollout import RolloutState, Standing
from kedge.core.trace import Trace
from kedge.deploy.judge import Action

GOOD, BAD = ['{"a": 1}'], ["no"]

RATED = {"latency = 0": 'latency = 0\nfeedback = "rating"'}
PLANNED = """steps = [
    { role = "shadow", hold = "10m", min_answers = 20 },
    { share = 0.1, hold = "10m", min_answers = 20 },
    { share = 0.5, hold = "10m" },
]"""

Make = Callable[..., Any]


def versions(stage: Any) -> tuple[Any, Any]:
    """The stable version, and one that is on its way."""
    second = stage.register("second")
    rollouts.start(stage.project, "words", second.address)
    return stage.project.ledger.models.version("words", 1), second


def live(
    stage: Any, first: Any, old: list[str], second: Any, new: list[str], *, role: str = "canary", **changes: Any
) -> tuple[list[Trace], list[Trace]]:
    """Answers of the stable version beside those of the other."""
    told, tried = stage.traffic(stage.part(first, "stable", old), stage.part(second, role, new, changes))
    return told, tried


def pass_shadow(stage: Any, first: Any, second: Any) -> None:
    """Let the first step end well."""
    live(stage, first, GOOD * 30, second, GOOD * 30, role="shadow")
    stage.clock.advance(601)
    assert stage.look().decision.action is Action.ADVANCE


def test_a_good_version_goes_from_shadow_to_canary_to_stable(stage: Any) -> None:
    first, second = versions(stage)
    assert stage.shares() == {Role.STABLE: (1, 1.0), Role.SHADOW: (2, 1.0)}
    assert stage.look().decision.action is Action.HOLD
    pass_shadow(stage, first, second)
    assert stage.shares() == {Role.STABLE: (1, 1.0), Role.CANARY: (2, 0.1)}
    live(stage, first, GOOD * 200, second, GOOD * 30)
    stage.clock.advance(601)
    assert stage.look().decision.action is Action.ADVANCE
    assert stage.shares() == {Role.STABLE: (1, 1.0), Role.CANARY: (2, 0.5)}
    stage.clock.advance(601)
    live(stage, first, GOOD * 400, second, GOOD * 400)
    look = stage.look()
    assert look.decision.action is Action.PROMOTE
    assert {reading.standing for reading in look.readings} == {Standing.FINE}
    assert stage.shares() == {Role.STABLE: (2, 1.0)}
    assert stage.actions() == ["started", "advanced", "advanced", "promoted"]
    assert stage.project.ledger.models.history("words", "production")[-1].after == 2
    assert stage.look().rollout is None


def test_a_worse_canary_is_withdrawn_with_the_reason_and_the_deciding_traces(stage: Any) -> None:
    first, second = versions(stage)
    pass_shadow(stage, first, second)
    _, new = live(stage, first, GOOD * 200, second, GOOD * 5 + BAD * 20)
    look = stage.look()
    assert look.decision.action is Action.WITHDRAW
    assert stage.state is RolloutState.WITHDRAWN
    assert stage.shares() == {Role.STABLE: (1, 1.0)}
    rollout = stage.project.ledger.rollouts.history("words")[-1]
    event = stage.project.ledger.rollouts.events(rollout.id)[-1]
    assert "valid_json" in rollout.reason
    assert (event.by, event.action) == ("kedge:rollout", "withdrawn")
    worse = next(reading for reading in event.readings if reading.standing is Standing.WORSE)
    assert set(worse.traces) <= {trace.id for trace in new if trace.answer == BAD[0]}
    assert len(worse.traces) == 5
    record = stage.project.ledger.audit.records()[-1]
    assert (record.action, record.by) == ("rollout-withdraw", "kedge:rollout")
    assert record.detail["traces"] == sorted(worse.traces)
    assert stage.project.ledger.models.history("words", "production")[-1].after == 1


def test_a_worse_shadow_is_withdrawn_before_any_caller_sees_it(stage: Any) -> None:
    first, second = versions(stage)
    live(stage, first, GOOD * 60, second, BAD * 60, role="shadow")
    assert stage.look().decision.action is Action.WITHDRAW
    assert {release.role for release in stage.project.ledger.releases.history("words")} == {Role.STABLE, Role.SHADOW}


def test_errors_of_the_endpoint_count_and_those_of_callers_do_not(stage: Any) -> None:
    first, second = versions(stage)
    pass_shadow(stage, first, second)
    live(stage, first, GOOD * 200, second, BAD * 60, status=400)
    assert stage.look().decision.action is Action.HOLD
    live(stage, first, GOOD * 200, second, [""] * 40, status=500, error="the engine could not answer")
    decision = stage.look().decision
    assert decision.action is Action.WITHDRAW
    assert "errors" in decision.reason


def test_what_callers_say_withdraws_a_canary(make_stage: Make) -> None:
    stage = make_stage(RATED)
    first, second = versions(stage)
    pass_shadow(stage, first, second)
    old, new = live(stage, first, GOOD * 60, second, GOOD * 60)
    stage.rate(new, 0.0, name="another")
    assert stage.look().decision.action is Action.HOLD
    for one, other in zip(old, new, strict=True):
        stage.rate([one], 1.0)
        stage.rate([other], 0.0)
    decision = stage.look().decision
    assert decision.action is Action.WITHDRAW
    assert "feedback" in decision.reason


def test_only_the_first_word_on_an_answer_counts(make_stage: Make) -> None:
    stage = make_stage(RATED)
    first, second = versions(stage)
    pass_shadow(stage, first, second)
    old, loud = live(stage, first, GOOD * 50, second, GOOD)
    for each in old:
        stage.rate([each], 1.0)
        stage.rate(loud, 0.0)
    look = stage.look()
    assert look.decision.action is Action.HOLD
    assert next(r for r in look.readings if r.measure == "feedback").new_answers <= 1


@pytest.mark.parametrize(
    ("measure", "watched", "changes"),
    [
        ("latency", "latency = 0.5", {"latency_ms": 80.0}),
        ("cost", "latency = 0\ncost = true", {"completion_tokens": 50}),
    ],
)
def test_a_slower_or_dearer_version_is_withdrawn(
    make_stage: Make, measure: str, watched: str, changes: dict[str, Any]
) -> None:
    stage = make_stage({"latency = 0": watched})
    first, second = versions(stage)
    pass_shadow(stage, first, second)
    live(stage, first, GOOD * 300, second, GOOD * 150, **changes)
    decision = stage.look().decision
    assert decision.action is Action.WITHDRAW
    assert measure in decision.reason


def test_a_controller_that_starts_again_decides_the_same(stage: Any) -> None:
    first, second = versions(stage)
    pass_shadow(stage, first, second)
    going = Watch(stage.project, "words")
    stage.clock.advance(LEASE.total_seconds())
    for _ in range(10):
        live(stage, first, GOOD * 20, second, GOOD * 4 + BAD * 2)
        look = going.look()
        fresh = status(stage.project, "words")
        if look.changed:
            break
        assert look.readings == fresh.readings
        assert look.answers == fresh.answers
    assert stage.state is RolloutState.WITHDRAWN


def test_one_controller_decides_and_another_takes_over_when_it_is_gone(stage: Any) -> None:
    versions(stage)
    one, two = Watch(stage.project, "words"), Watch(stage.project, "words")
    assert one.look().leads
    assert not two.look().leads
    stage.clock.advance(5)
    assert one.look().leads
    stage.clock.advance(9)
    assert not two.look().leads
    stage.clock.advance(2)
    assert two.look().leads
    assert not one.look().leads


def test_a_paused_rollout_is_held_and_goes_on(stage: Any) -> None:
    first, second = versions(stage)
    rollouts.pause(stage.project, "words", reason="lunch")
    live(stage, first, GOOD * 60, second, BAD * 60, role="shadow")
    assert stage.look().decision.action is Action.HOLD
    assert rollouts.pause(stage.project, "words").state is RolloutState.PAUSED
    rollouts.resume(stage.project)
    assert stage.look().decision.action is Action.WITHDRAW
    assert stage.actions() == ["started", "paused", "resumed", "withdrawn"]


def test_a_rollout_is_ended_by_hand_either_way(stage: Any) -> None:
    versions(stage)
    assert rollouts.abort(stage.project, "words", reason="no").state is RolloutState.ABORTED
    assert stage.shares() == {Role.STABLE: (1, 1.0)}
    rollouts.start(stage.project, "words", "words@2")
    assert rollouts.promote(stage.project, "words").state is RolloutState.PROMOTED
    assert stage.shares() == {Role.STABLE: (2, 1.0)}
    with pytest.raises(NotFound, match="no rollout"):
        rollouts.abort(stage.project, "words")


def test_taking_an_endpoint_back_ends_its_rollout_first(stage: Any) -> None:
    versions(stage)
    taken = rollouts.take_back(stage.project, "words")
    assert taken is not None
    assert taken.state is RolloutState.ABORTED
    assert rollouts.take_back(stage.project, "words") is None
    assert rollouts.take_back(stage.project, "elsewhere") is None


def test_a_canary_whose_stable_version_is_replaced_is_withdrawn(stage: Any) -> None:
    versions(stage)
    models.promote(stage.project, stage.register("third").address)
    decision = stage.look().decision
    assert decision.action is Action.WITHDRAW
    assert "words@3 took the place of words@1" in decision.reason
    assert stage.shares() == {Role.STABLE: (3, 1.0)}


def test_two_rollouts_of_one_endpoint_are_a_conflict(stage: Any) -> None:
    versions(stage)
    third = stage.register("third")
    with pytest.raises(Conflict, match="under way"):
        rollouts.start(stage.project, "words", third.address)
    assert stage.shares()[Role.SHADOW] == (2, 1.0)


def test_what_cannot_be_rolled_out_is_refused_with_the_way_out(stage: Any, make_stage: Make) -> None:
    with pytest.raises(Invalid, match="serves already"):
        rollouts.start(stage.project, "words", "words@1")
    with pytest.raises(Invalid, match="which version"):
        rollouts.start(stage.project, "words", "words")
    with pytest.raises(NotFound):
        rollouts.start(stage.project, "words", "words@9")
    fresh = make_stage(promoted=False)
    with pytest.raises(Refused, match="nothing to compare") as caught:
        rollouts.start(fresh.project, "words", "words@1")
    assert "kedge promote words@1" in caught.value.hint


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('quality = ["no_such"]', "no scorer"),
        ('quality = ["perplexity"]', "cannot judge one live answer"),
        ('quality = ["valid_json"]\ntargets = "nothing"', "no dataset"),
    ],
)
def test_a_plan_that_cannot_be_watched_is_refused_at_its_start(make_stage: Make, more: str, said: str) -> None:
    stage = make_stage({'quality = ["valid_json"]': more})
    second = stage.register("second")
    with pytest.raises((Invalid, NotFound), match=said):
        rollouts.start(stage.project, "words", second.address)
    assert stage.project.ledger.rollouts.history() == []


def test_an_endpoint_without_a_plan_says_how_to_write_one(make_stage: Make) -> None:
    stage = make_stage({"[endpoints.words.rollout]": "[endpoints.other]\nmodel = 'other'\n[endpoints.other.rollout]"})
    second = stage.register("second")
    with pytest.raises(Invalid, match="no rollout plan") as caught:
        rollouts.start(stage.project, "words", second.address)
    assert "[endpoints.words.rollout]" in caught.value.hint


def test_a_protected_alias_needs_its_verdict_or_an_override(make_stage: Make) -> None:
    stage = make_stage({"protected = []": 'protected = ["production"]'})
    second = stage.register("second")
    with pytest.raises(Refused, match="may not become"):
        rollouts.start(stage.project, "words", second.address)
    assert stage.project.ledger.rollouts.history() == []
    rollouts.start(stage.project, "words", second.address, override="we must")
    rollouts.promote(stage.project, "words")
    move = stage.project.ledger.models.history("words", "production")[-1]
    assert (move.after, move.override, move.reason) == (2, True, "we must")


def test_a_version_whose_permission_is_gone_is_withdrawn_at_the_end(make_stage: Make) -> None:
    stage = make_stage({PLANNED: "steps = [{ share = 0.5 }]"})
    first, second = versions(stage)
    live(stage, first, GOOD * 400, second, GOOD * 400)
    file = stage.project.root / "kedge.toml"
    file.write_text(file.read_text().replace("protected = []", 'protected = ["production"]'))
    stage.project.config = load_config(file)
    stage.look()
    assert stage.state is RolloutState.WITHDRAWN
    assert "promotion was refused" in stage.project.ledger.rollouts.history("words")[-1].reason
    assert stage.shares() == {Role.STABLE: (1, 1.0)}


@pytest.mark.parametrize(
    ("undecided", "action"), [("wait", Action.HOLD), ("promote", Action.PROMOTE), ("withdraw", Action.WITHDRAW)]
)
def test_what_stays_undecided_waits_as_long_as_the_plan_says(make_stage: Make, undecided: str, action: Action) -> None:
    said = f'steps = [{{ share = 0.5 }}]\npatience = "1h"\nundecided = "{undecided}"'
    stage = make_stage({PLANNED: said})
    first, second = versions(stage)
    live(stage, first, GOOD * 10, second, GOOD * 10)
    assert stage.look().decision.action is Action.HOLD
    stage.clock.advance(3601)
    assert stage.look().decision.action is action


def test_what_answered_at_any_moment_is_told(stage: Any) -> None:
    began = stage.clock.now()
    versions(stage)
    stage.clock.advance(100)
    rollouts.promote(stage.project, "words")
    ended = stage.clock.now()

    def then(seconds: float) -> dict[Role, int]:
        found = released.in_force(stage.project, "words", began + timedelta(seconds=seconds))
        return {role: release.version for role, release in found.releases.items()}

    assert then(0) == {Role.STABLE: 1, Role.SHADOW: 2}
    assert then(99) == {Role.STABLE: 1, Role.SHADOW: 2}
    assert then((ended - began).total_seconds()) == {Role.STABLE: 2}
    with pytest.raises(NotFound, match="nothing was released"):
        then(-1)
    assert released.read_moment("2026-03-03T10:00:00+01:00") == began
    with pytest.raises(Invalid, match="not a time"):
        released.read_moment("yesterday")


def test_what_a_shadow_said_is_listed_beside_what_callers_got(stage: Any) -> None:
    first, second = versions(stage)
    live(stage, first, GOOD * 10, second, (BAD + GOOD * 4) * 2, role="shadow")
    live(stage, first, GOOD, second, [""], role="shadow", status=500, error="broken")
    report = shadowed.diffs(stage.project, "words")
    assert (report.compared, report.same, report.failed) == (11, 8, 1)
    assert {(diff.answer, diff.shadowed) for diff in report.diffs if not diff.error} == {(GOOD[0], BAD[0])}
    assert len(shadowed.diffs(stage.project, "words", limit=1).diffs) == 1


def test_nothing_changes_when_the_transaction_fails(stage: Any) -> None:
    first, second = versions(stage)
    live(stage, first, GOOD * 60, second, BAD * 60, role="shadow")
    before = stage.project.ledger.rollouts.active("words")
    database = sqlite3.connect(stage.project.root / ".kedge" / "ledger.db")
    database.execute("CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
    database.commit()
    with pytest.raises(Conflict, match="full"):
        rollouts.withdraw(stage.project, before, "worse")
    assert stage.project.ledger.rollouts.active("words") == before
    assert stage.shares()[Role.SHADOW] == (2, 1.0)
    database.execute("DROP TRIGGER no")
    database.commit()
    database.close()
    assert stage.look().decision.action is Action.WITHDRAW
    assert Role.SHADOW not in stage.shares()
