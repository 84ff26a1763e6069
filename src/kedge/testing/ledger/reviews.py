"""What a ledger must do with cases for review and their labels."""

from __future__ import annotations

from typing import Any

import pytest

from kedge.core.errors import NotFound
from kedge.core.ledger import Ledger
from kedge.core.review import ReviewCase, ReviewLabel, Why
from kedge.testing.ledger.make import at


def make_case(row: str = "r1", **changes: Any) -> ReviewCase:
    """A case that failed."""
    facts: dict[str, Any] = {"queue": "first", "input": "2+2", "answer": "5", "target": "4", "why": Why.FAILED}
    facts |= {"added": at(), "by": "user:ada", "scores": {"exact_match": 0.0}}
    return ReviewCase(row=row, **{**facts, **changes})


def make_label(case: ReviewCase, label: str = "wrong", **changes: Any) -> ReviewLabel:
    """Grace's label."""
    facts: dict[str, Any] = {"reviewer": "user:grace", "at": at(1), "note": "ä"}
    return ReviewLabel(case=case.id, label=label, **{**facts, **changes})


class ReviewsConformance:
    """Cases are added once; labels are appended."""

    def test_cases_come_back_as_they_were_added(self, ledger: Ledger) -> None:
        late, early = make_case("r1", added=at(2)), make_case("r2", added=at(1))
        assert ledger.reviews.add([late, early]) == 2
        assert ledger.reviews.cases("first") == [early, late]

    def test_a_case_is_asked_about_once(self, ledger: Ledger) -> None:
        ledger.reviews.add([make_case()])
        assert ledger.reviews.add([make_case(added=at(9)), make_case(answer="6")]) == 1
        assert [case.added for case in ledger.reviews.cases()] == [at(), at()]

    def test_queues_are_apart(self, ledger: Ledger) -> None:
        other = make_case(queue="second")
        ledger.reviews.add([make_case(), other])
        ledger.reviews.label(make_label(other))
        assert ledger.reviews.cases("second") == [other]
        assert ledger.reviews.labels("first") == []
        assert ledger.reviews.labels("second") == [make_label(other)]

    def test_the_newest_label_of_a_person_is_in_force(self, ledger: Ledger) -> None:
        ledger.reviews.add([make_case()])
        ledger.reviews.label(make_label(make_case()))
        ledger.reviews.label(make_label(make_case(), "right", reviewer="user:alan"))
        ledger.reviews.label(make_label(make_case(), "right", at=at(3)))
        found = [(label.reviewer, label.label) for label in ledger.reviews.labels()]
        assert found == [("user:alan", "right"), ("user:grace", "right")]

    def test_a_label_for_no_case_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.reviews.label(make_label(make_case()))
