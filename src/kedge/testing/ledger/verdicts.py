"""What a ledger must do with gates and verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from kedge.core.errors import NotFound
from kedge.core.evaluation import Gate, Outcome, Rule
from kedge.core.ledger import Ledger
from kedge.core.model import RecordedVerdict
from kedge.testing.ledger.make import at, make_digest

GATE = Gate(
    name="schemas",
    rules=(
        Rule(metric="exact", at_least=0.55, slice="args>=2"),
        Rule(metric="exact", at_least="baselines", margin=0.1),
        Rule(metric="perplexity", at_most=3),
    ),
)


def make_verdict(id: str = "v1", **changes: Any) -> RecordedVerdict:
    """A passing verdict on the bundle `b`."""
    facts: dict[str, Any] = {
        "gate": GATE.digest,
        "bundle": make_digest("b"),
        "evaluation": make_digest("e"),
        "dataset": make_digest("d"),
        "outcome": Outcome.PASS,
        "run": "run-1",
        "at": at(),
        "body": '{"text":"ä\\u0000"}',
        "signature": "signed",
    }
    return RecordedVerdict(id=id, **{**facts, **changes})


class VerdictsConformance:
    """Written once, never changed."""

    def test_a_gate_comes_back_with_the_time_it_was_first_set(self, ledger: Ledger) -> None:
        ledger.verdicts.set_gate(GATE, at=at(1))
        ledger.verdicts.set_gate(GATE, at=at(2))
        gate, first = ledger.verdicts.gate(GATE.digest)
        assert (gate, first) == (GATE, at(1))
        assert gate.digest == GATE.digest

    def test_an_unknown_gate_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.verdicts.gate(GATE.digest)

    def test_a_verdict_comes_back_as_it_was_added(self, ledger: Ledger) -> None:
        ledger.verdicts.add(make_verdict())
        assert ledger.verdicts.get("v1") == make_verdict()

    def test_adding_a_verdict_again_changes_nothing(self, ledger: Ledger) -> None:
        ledger.verdicts.add(make_verdict())
        ledger.verdicts.add(make_verdict(outcome=Outcome.FAIL))
        assert ledger.verdicts.about(make_digest("b")) == [make_verdict()]

    def test_verdicts_about_a_bundle_are_listed_oldest_first(self, ledger: Ledger) -> None:
        for name, seconds, bundle in (("v1", 2, "b"), ("v2", 1, "b"), ("v3", 0, "other")):
            ledger.verdicts.add(make_verdict(name, at=at(seconds), bundle=make_digest(bundle)))
        assert [verdict.id for verdict in ledger.verdicts.about(make_digest("b"))] == ["v2", "v1"]

    def test_an_unknown_verdict_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.verdicts.get("v1")
