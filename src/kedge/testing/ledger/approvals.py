"""What a ledger must do with approvals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from kedge.core.ledger import Ledger
from kedge.core.model import Approval
from kedge.testing.ledger.make import START

APPROVAL = Approval(
    model="schemas", version=2, bundle="sha256:" + "b" * 64, by="user:ada", at=START, reason="read 40 answers"
)


class ApprovalsConformance:
    """Approvals of versions."""

    def test_a_version_that_nobody_approved_has_no_approval(self, ledger: Ledger) -> None:
        ledger.approvals.add(APPROVAL)
        assert ledger.approvals.of("schemas", 1) == []
        assert ledger.approvals.of("letters", 2) == []

    def test_approvals_come_back_in_the_order_they_were_given(self, ledger: Ledger) -> None:
        second = replace(APPROVAL, by="user:alan", at=START + timedelta(hours=1))
        ledger.approvals.add(second)
        ledger.approvals.add(APPROVAL)
        assert ledger.approvals.of("schemas", 2) == [APPROVAL, second]

    def test_one_person_approves_once(self, ledger: Ledger) -> None:
        ledger.approvals.add(APPROVAL)
        ledger.approvals.add(replace(APPROVAL, reason="and once more", at=START + timedelta(hours=1)))
        assert ledger.approvals.of("schemas", 2) == [APPROVAL]
