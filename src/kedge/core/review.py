"""Cases that people look at, and what they said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from kedge.core.hashing import digest_of


class Why(StrEnum):
    """Why a case waits for a person."""

    SAMPLED = "sampled"
    DISAGREEING = "disagreeing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCase:
    """One answer to one row, as a person reads it. It is kept whole, so that a label outlives the evaluation.

    `scores` are those of the evaluation that it came from, a judge's among them.
    """

    queue: str
    row: str
    input: str
    answer: str
    added: datetime
    by: str
    target: str = ""
    answerer: str = "model"
    why: Why = Why.SAMPLED
    evaluation: str = ""
    bundle: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """16 hexadecimal digits over the queue, the row and the answer: the same answer is asked about once."""
        return digest_of([self.queue, self.row, self.answerer, self.answer]).removeprefix("sha256:")[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewLabel:
    """What one person said of one case. A later label of the same person replaces an earlier one; both are kept."""

    case: str
    reviewer: str
    label: str
    at: datetime
    note: str = ""
