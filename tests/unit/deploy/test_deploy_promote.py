from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kedge.core.errors import Refused
from kedge.core.evaluation import Finding, Gate, Interval, Outcome, Rule, Verdict
from kedge.deploy.promote import Evidence, Permission, Wish, decide

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
RULE = Rule(metric="exact_match", at_least=0.55)
GATE = Gate(name="gate", rules=(RULE,))
SAFETY = Gate(name="safety", rules=(Rule(metric="toxicity", at_most=0.01),))
BUNDLE = "sha256:" + "b" * 64


def make_wish(*, override: str = "") -> Wish:
    return Wish(model="schemas", version=2, bundle=BUNDLE, alias="production", override=override)


def make_evidence(
    outcome: Outcome = Outcome.PASS, *, gate: Gate = GATE, bundle: str = BUNDLE, id: str = "sha256:1", **changes: object
) -> Evidence:
    finding = Finding(
        rule=gate.rules[0],
        outcome=outcome,
        interval=Interval(value=0.21, low=0.19, high=0.24),
        reference=0.55,
        text="exact_match 0.210 [0.190, 0.240] is not at least 0.55",
    )
    verdict = Verdict(
        gate=gate.digest, bundle=bundle, evaluation="e", dataset="d", outcome=outcome, findings=(finding,)
    )
    settings = {"authentic": True, "gate_set": NOON, "evaluated": NOON + timedelta(minutes=5)} | changes
    return Evidence(id=id, verdict=verdict, **settings)  # type: ignore[arg-type]  # one table, many types


def test_a_passing_verdict_permits() -> None:
    assert decide(make_wish(), [GATE], [make_evidence()]) == Permission(verdicts=("sha256:1",))


def test_without_a_verdict_it_is_refused() -> None:
    with pytest.raises(Refused, match="there is no verdict on schemas@2"):
        decide(make_wish(), [GATE], [])


def test_a_verdict_on_another_bundle_does_not_count() -> None:
    with pytest.raises(Refused, match="a verdict on another bundle does not count"):
        decide(make_wish(), [GATE], [make_evidence(bundle="sha256:" + "c" * 64)])


def test_a_failing_rule_is_told_with_its_interval_and_the_way_to_insist() -> None:
    with pytest.raises(Refused) as refused:
        decide(make_wish(), [GATE], [make_evidence(Outcome.FAIL)])

    assert "fail: exact_match 0.210 [0.190, 0.240] is not at least 0.55" in refused.value.message
    assert "--override" in refused.value.hint


def test_an_undecided_verdict_asks_for_more_cases() -> None:
    with pytest.raises(Refused) as refused:
        decide(make_wish(), [GATE], [make_evidence(Outcome.UNDECIDED)])

    assert refused.value.hint.startswith("evaluate more cases")


def test_an_override_permits_and_keeps_what_spoke_against_it() -> None:
    permission = decide(make_wish(override="a demonstration"), [GATE], [make_evidence(Outcome.FAIL)])

    assert permission.overridden
    assert permission.verdicts == ("sha256:1",)
    assert permission.objections[0].startswith("fail: exact_match")


def test_an_override_that_is_not_needed_is_not_one() -> None:
    assert not decide(make_wish(override="to be sure"), [GATE], [make_evidence()]).overridden


def test_an_override_of_blanks_gives_no_reason() -> None:
    with pytest.raises(Refused):
        decide(make_wish(override="  "), [GATE], [])


def test_the_newest_verdict_counts() -> None:
    earlier, later = make_evidence(), make_evidence(Outcome.FAIL, id="sha256:2")

    with pytest.raises(Refused):
        decide(make_wish(), [GATE], [earlier, later])
    assert decide(make_wish(), [GATE], [later, earlier]).verdicts == ("sha256:1",)


def test_a_verdict_under_rules_no_longer_in_force_does_not_count() -> None:
    with pytest.raises(Refused, match="rules that are no longer in force"):
        decide(make_wish(), [Gate(name="gate", rules=(Rule(metric="exact_match", at_least=0.7),))], [make_evidence()])


def test_a_gate_set_after_the_evaluation_had_begun_does_not_count() -> None:
    with pytest.raises(Refused, match="was set after the evaluation"):
        decide(make_wish(), [GATE], [make_evidence(gate_set=NOON + timedelta(minutes=6))])


def test_a_verdict_with_a_foreign_signature_does_not_count() -> None:
    with pytest.raises(Refused, match="does not carry this project's signature"):
        decide(make_wish(), [GATE], [make_evidence(authentic=False)])


def test_an_evaluation_that_no_run_recorded_does_not_count() -> None:
    with pytest.raises(Refused, match="not on record"):
        decide(make_wish(), [GATE], [make_evidence(evaluated=None)])


def test_rules_that_were_never_stored_do_not_count() -> None:
    with pytest.raises(Refused, match="never stored"):
        decide(make_wish(), [GATE], [make_evidence(gate_set=None)])


def test_without_a_gate_in_force_nothing_may_take_a_protected_alias() -> None:
    with pytest.raises(Refused, match="no gate is in force"):
        decide(make_wish(), [], [make_evidence()])


def test_every_gate_in_force_must_have_passed() -> None:
    passed, failed = make_evidence(), make_evidence(Outcome.FAIL, gate=SAFETY, id="sha256:2")

    with pytest.raises(Refused, match="fail"):
        decide(make_wish(), [GATE, SAFETY], [passed, failed])
    with pytest.raises(Refused, match="gate safety: "):
        decide(make_wish(), [GATE, SAFETY], [passed])
