"""Names for artifacts: versions for ever, aliases that move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kedge.core.evaluation import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """`name@version`: one bundle and the model artifact in it, registered by one run (or by hand)."""

    name: str
    version: int
    bundle: str
    model: str
    registered: datetime
    by: str
    run: str = ""
    card: str = ""  # digest of the model card's artifact

    @property
    def address(self) -> str:
        """`schemas@7`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One entry of an alias's append-only history. `before` is None for the first move."""

    model: str
    alias: str
    before: int | None
    after: int
    at: datetime
    by: str
    reason: str = ""
    verdict: str = ""  # id of the verdict that permitted the move ("" for an unprotected alias)
    override: bool = False
    rollback: bool = False  # a return to an earlier version, not a step forward

    @property
    def moved(self) -> bool:
        """Whether the alias points somewhere else than before."""
        return self.before != self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's word that a version may take a protected alias."""

    model: str
    version: int
    bundle: str
    by: str
    at: datetime
    reason: str = ""

    @property
    def address(self) -> str:
        """`schemas@7`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedVerdict:
    """A verdict as the ledger keeps it: its id (digest of the signed content), the run, the time and the outcome."""

    id: str
    gate: str
    bundle: str
    evaluation: str
    dataset: str
    outcome: Outcome
    run: str
    at: datetime
    body: str  # canonical JSON of the Verdict
    signature: str
