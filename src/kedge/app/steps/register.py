"""Step `register`: gives a bundle its version, its card and its first alias."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.address import parse_name
from kedge.core.artifact import ArtifactKind
from kedge.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOptions:
    """The model's name, the alias that follows each new version, and what only a person can say for its card.

    What is left out is listed in the card as a gap.
    """

    model: str
    alias: str = "candidate"
    description: str = ""
    license: str = ""
    intended_use: str = ""
    limitations: str = ""
    contact: str = ""

    def __post_init__(self) -> None:
        parse_name(self.model, "model name")
        parse_name(self.alias, "alias")


STEP = Step(
    name="register",
    options=RegisterOptions,
    work="kedge.app.work.register:work",
    inputs={
        "bundle": ArtifactKind.BUNDLE,
        "model": ArtifactKind.MODEL,
        "dataset": ArtifactKind.DATASET,
        "evaluation": ArtifactKind.REPORT,
        "verdict": ArtifactKind.REPORT,
    },
    outputs={"card": ArtifactKind.REPORT},
    code=("kedge.app.work.register", "kedge.registry.card", "kedge.registry.types", "kedge.registry.markdown"),
    summary="Register the bundle as the model's next version, with a card filled from the graph.",
)
