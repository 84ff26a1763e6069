"""What the demo tells when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Say = Callable[[str, str], None]  # a heading ("" to go on under the last one) and a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One held-out header put to the endpoint, the answer, the truth, and the receipt."""

    header: str
    answer: str
    truth: str
    receipt: str

    @property
    def right(self) -> bool:
        """Whether the answer is the truth, letter for letter."""
        return self.answer.strip() == self.truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What clients saw while the endpoint changed bundles under them."""

    requests: int
    failed: int
    errors: tuple[str, ...]
    bundles: Mapping[str, int]  # answers by the bundle named in their receipts


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The demo's outcome; `kedge demo --json` ends with it.

    `accuracy` is exact match on held-out functions; `baseline` the best of `baselines`; `trace` the walked chain.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    baseline: float
    baselines: Mapping[str, float]
    verdict: str
    bundle: str
    receipt: str
    trace: Mapping[str, Any]
    refused: str
    rolled_back_to: str
    requests: int
    failed_requests: int
    seconds: float
    folder: str
    figures: Mapping[str, float] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    repeated: bool = False
    url: str = ""
    key: str = ""
