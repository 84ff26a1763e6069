"""Names the stage that looks for what names a person, without loading what does."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.data.privacy.types import PrivacyOptions
from kedge.data.types import StageSpec

FOUND = "_private"  # what was found in a row, for the index, the vault and the report
PRIVACY = "privacy"
OPEN = "kedge.data.privacy.rows:open_privacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyStage:
    """The options, which key it is, and the file it lies in on this machine."""

    options: PrivacyOptions
    key: str
    local: str


def privacy_stage(options: PrivacyOptions, key_id: str, key_file: str) -> StageSpec:
    """The stage, to be opened where rows are read: each process reads the key for itself, it is never written down."""
    return StageSpec(name=PRIVACY, open=OPEN, options=PrivacyStage(options=options, key=key_id, local=key_file))
