"""What is looked for in texts, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kedge.core.errors import Invalid
from kedge.text.identifiers import KINDS
from kedge.text.spans import Span

Action = Literal["keep", "mask", "pseudonym", "drop"]
ACTIONS = ("keep", "mask", "pseudonym", "drop")
SECRETS = "secrets"


class Detector(Protocol):
    """Finds more kinds of things in texts, such as names. Registered in the group `kedge.detectors`: a function
    without arguments that opens one."""

    def __call__(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text, in order and without overlaps; their kinds are the detector's words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyOptions:
    """`kinds` of identifiers to look for, and `secrets`: keys and passwords. `detectors` names plug-ins that find more.

    `action` is what becomes of them, `actions` of single kinds: `keep` only reports, `mask` writes the kind in their
    place, `pseudonym` a word that is the same for the same content throughout the dataset and tells nothing without the
    key, `drop` rejects the row. `key` refers to the secret of pseudonyms and of the subject index, as `env:NAME` or
    `file:PATH` ("" makes one in the project). `vault` keeps what pseudonyms stand for, sealed by the key.
    """

    kinds: tuple[str, ...] = KINDS
    secrets: bool = True
    detectors: tuple[str, ...] = ()
    action: Action = "mask"
    actions: Mapping[str, Action] = field(default_factory=dict)
    key: str = field(default="", repr=False)
    vault: bool = False

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise Invalid(f"there is no kind of identifier {kind!r}", hint=f"one of {', '.join(KINDS)}")
        if self.vault and "pseudonym" not in {self.action, *self.actions.values()}:
            raise Invalid("a vault keeps what pseudonyms stand for", hint='set privacy.action = "pseudonym"')

    def action_for(self, kind: str) -> Action:
        """What becomes of a kind; secrets may be named by their issuer or all together."""
        default = self.actions.get(SECRETS, self.action) if kind not in KINDS else self.action
        return self.actions.get(kind, default)
