"""What every ledger must do, as tests: subclass `LedgerConformance` and give it a fixture `ledger`, fresh for each test.

class TestMyLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self, tmp_path):
        ...
"""

from __future__ import annotations

from kedge.testing.ledger.approvals import ApprovalsConformance
from kedge.testing.ledger.artifacts import ArtifactsConformance
from kedge.testing.ledger.audit import AuditConformance
from kedge.testing.ledger.keys import KeysConformance
from kedge.testing.ledger.metrics import MetricsConformance
from kedge.testing.ledger.models import ModelsConformance
from kedge.testing.ledger.releases import ReleasesConformance
from kedge.testing.ledger.reviews import ReviewsConformance
from kedge.testing.ledger.rollouts import RolloutsConformance
from kedge.testing.ledger.runs import RunsConformance
from kedge.testing.ledger.search import SearchConformance
from kedge.testing.ledger.transactions import TransactionsConformance
from kedge.testing.ledger.usage import UsageConformance
from kedge.testing.ledger.verdicts import VerdictsConformance

__all__ = ["LedgerConformance"]


class LedgerConformance(
    RunsConformance,
    SearchConformance,
    MetricsConformance,
    ArtifactsConformance,
    ModelsConformance,
    VerdictsConformance,
    ApprovalsConformance,
    ReleasesConformance,
    RolloutsConformance,
    KeysConformance,
    UsageConformance,
    ReviewsConformance,
    AuditConformance,
    TransactionsConformance,
):
    """Every aggregate, and transactions over all of them."""
