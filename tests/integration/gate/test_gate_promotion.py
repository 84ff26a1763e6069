"""What a promotion needs, and each reason for which it is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from kedge.app import models
from kedge.app.approvals import approvals, approve
from kedge.core.errors import Conflict, Refused
from kedge.core.evaluation import Outcome
from kedge.testing.judged import Yard, right

ALIAS = 'rules = [{ metric = "exact_match", at_least = "sums@production" }]'
NO_WORSE = 'rules = [{ metric = "exact_match", at_least = "sums@production", margin = -0.05 }]'
FIXED = 'rules = [{ metric = "exact_match", at_least = "sums@1" }]'
TWO_PEOPLE = 'rules = [{ metric = "exact_match", at_least = 0.55 }]\napprovals = 2'
EVIDENCE = 'rules = [{ metric = "exact_match", at_least = 0.55 }]\nrequires = ["card", "approval"]'

MakeYard = Callable[..., Yard]


def findings(yard: Yard, bundle: str) -> list[tuple[Outcome, str]]:
    return [(f.outcome, f.text) for v in models.show(yard.project, bundle).verdicts for f in v.findings]


def test_promotion_without_a_verdict_is_refused(make_yard: MakeYard) -> None:
    yard = make_yard()
    version = yard.make_version("one", right(90, 100), judged=False)

    with pytest.raises(Refused, match="there is no verdict on sums@1"):
        models.promote(yard.project, version.address)


def test_promotion_with_a_verdict_on_another_bundle_is_refused(make_yard: MakeYard) -> None:
    yard = make_yard()
    yard.make_version("one", right(90, 100))
    other = yard.make_version("two", right(90, 100), judged=False)

    with pytest.raises(Refused, match="there is no verdict on sums@2"):
        models.promote(yard.project, other.address)


def test_promotion_after_the_evaluation_set_changed_is_refused(make_yard: MakeYard) -> None:
    yard = make_yard()
    version = yard.make_version("one", right(90, 100))
    yard.make_dataset("second")

    with pytest.raises(Refused, match="the evaluation set has changed"):
        models.promote(yard.project, version.address)


def test_the_evaluation_set_made_again_as_it_was_changes_nothing(make_yard: MakeYard) -> None:
    yard = make_yard()
    version = yard.make_version("one", right(90, 100))
    yard.make_dataset("first")

    assert models.promote(yard.project, version.address).after == 1


def test_nobody_approves_their_own_version(make_yard: MakeYard) -> None:
    yard = make_yard(TWO_PEOPLE)
    version = yard.make_version("one", right(90, 100))

    with pytest.raises(Refused, match="nobody approves what is their own"):
        approve(yard.project, version.address, reason="I like it")
    assert yard.project.ledger.audit.records()[-1].action == "refuse"


def test_an_approval_says_why(make_yard: MakeYard) -> None:
    yard = make_yard(TWO_PEOPLE)
    version = yard.make_version("one", right(90, 100))

    with pytest.raises(Refused, match="says why"):
        approve(make_yard(principal="user:alan").project, version.address, reason=" ")


def test_promotion_needs_as_many_people_as_the_gate_says(make_yard: MakeYard) -> None:
    yard = make_yard(TWO_PEOPLE)
    version = yard.make_version("one", right(90, 100))

    with pytest.raises(Refused, match="approval of 2 people other than its author; it has none"):
        models.promote(yard.project, version.address)
    alan, grace = make_yard(principal="user:alan").project, make_yard(principal="user:grace").project
    approve(alan, version.address, reason="read 40 answers")
    approve(alan, version.address, reason="and once more")
    with pytest.raises(Refused, match="it has user:alan's"):
        models.promote(yard.project, version.address)
    approve(grace, version.address, reason="tried it on my own cases")

    assert models.promote(yard.project, version.address).after == 1
    assert [given.by for given in approvals(yard.project, version.address)] == ["user:alan", "user:grace"]


def test_required_evidence_that_is_not_there_is_named(make_yard: MakeYard) -> None:
    yard = make_yard(EVIDENCE)
    version = yard.make_version("one", right(90, 100))

    with pytest.raises(Refused) as refused:
        models.promote(yard.project, version.address)

    assert "gate gate requires a model card, and sums@1 has none" in refused.value.message
    assert "requires the approval of 1 person other than its author" in refused.value.message


def test_an_override_passes_every_objection_and_keeps_them_in_the_audit(make_yard: MakeYard) -> None:
    yard = make_yard(EVIDENCE)
    version = yard.make_version("one", right(20, 100))

    move = models.promote(yard.project, version.address, override="a demonstration")

    detail = yard.project.ledger.audit.records()[-1].detail
    assert move.override
    assert len(detail["objections"]) == 3


def test_the_first_version_has_nothing_to_beat(make_yard: MakeYard) -> None:
    yard = make_yard(ALIAS)
    version = yard.make_version("one", right(50, 100))

    ((outcome, text),) = findings(yard, version.address)
    assert (outcome, "was never set: there is nothing to beat" in text) == (Outcome.PASS, True)
    assert models.promote(yard.project, version.address).after == 1


def test_a_rule_against_an_alias_names_the_exact_version_and_its_evaluation(make_yard: MakeYard) -> None:
    yard = make_yard(ALIAS)
    first = yard.make_version("one", right(50, 100))
    models.promote(yard.project, first.address)

    second = yard.make_version("two", right(80, 100))

    (verdict,) = models.show(yard.project, second.address).verdicts
    assert "beats sums@production, which is sums@1, (0.5)" in verdict.findings[0].text
    reference = verdict.detail["references"]["sums@production"]
    assert (reference["version"], reference["bundle"]) == ("sums@1", first.bundle)
    assert models.promote(yard.project, second.address).after == 2


def test_a_verdict_against_an_alias_that_has_moved_does_not_count(make_yard: MakeYard) -> None:
    yard = make_yard(ALIAS)
    models.promote(yard.project, yard.make_version("one", right(50, 100)).address)
    second, third = yard.make_version("two", right(80, 100)), yard.make_version("three", right(75, 100))
    models.promote(yard.project, second.address)

    with pytest.raises(Refused, match=r"compared with sums@production when it was sums@1; it is sums@2 now"):
        models.promote(yard.project, third.address)


def test_a_version_that_was_not_evaluated_on_the_same_cases_leaves_it_undecided(make_yard: MakeYard) -> None:
    yard = make_yard(FIXED)
    yard.make_version("one", right(50, 100), judged=False)
    yard.make_dataset("second")

    second = yard.make_version("two", right(80, 100))

    ((outcome, text),) = findings(yard, second.address)
    assert (outcome, "sums@1 was not evaluated on the same dataset" in text) == (Outcome.UNDECIDED, True)


def test_a_margin_lets_a_version_pass_that_is_no_worse(make_yard: MakeYard) -> None:
    yard = make_yard(NO_WORSE)
    models.promote(yard.project, yard.make_version("one", right(800, 1000)).address)

    second = yard.make_version("two", right(799, 1000))

    ((outcome, text),) = findings(yard, second.address)
    assert outcome is Outcome.PASS
    assert "is no more than 0.05 worse than sums@production" in text


def test_of_concurrent_promotions_one_wins_and_readers_see_old_or_new(make_yard: MakeYard) -> None:
    yard = make_yard()
    versions = [yard.make_version(str(i), right(90, 100)) for i in range(5)]
    models.promote(yard.project, versions[0].address)
    allowed = {version.version for version in versions}

    def read() -> list[int]:
        aliases = [yard.project.ledger.models.aliases("sums") for _ in range(40)]
        return [move.after for found in aliases for move in found if move.alias == "production"]

    def promote(address: str) -> None:
        with suppress(Conflict):
            models.promote(yard.project, address)

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for done in [pool.submit(promote, version.address) for version in versions[1:]]:
            done.result()
        seen = [reader.result() for reader in readers]

    history = yard.project.ledger.models.history("sums", "production")
    assert [len(found) for found in seen] == [40] * 4
    assert {after for found in seen for after in found} <= allowed
    assert [move.before for move in history[1:]] == [move.after for move in history[:-1]]
