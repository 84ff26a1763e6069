"""What a model card is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kedge.core.artifact import Manifest
from kedge.core.bundle import Bundle
from kedge.core.dataset import DatasetManifest
from kedge.core.evaluation import Evaluation, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What only a person can say of a model. What is empty becomes a gap of its card."""

    description: str = ""
    license: str = ""
    intended_use: str = ""
    limitations: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The digests of what a card is about."""

    bundle: str
    model: str
    dataset: str
    evaluation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything on record about a bundle. `runs` are the runs behind it, the oldest first, as plain values."""

    model: str
    named: Named
    bundle: Bundle
    manifest: Manifest
    config: Mapping[str, Any]
    dataset: DatasetManifest
    evaluation: Evaluation
    verdict: Verdict
    runs: Sequence[Mapping[str, Any]] = ()
    stated: Stated = field(default_factory=Stated)
