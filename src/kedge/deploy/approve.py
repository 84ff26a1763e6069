"""Decides whether a person's approval of a version may count."""

from __future__ import annotations

from kedge.core.errors import Refused
from kedge.core.model import Approval, ModelVersion


def check(approval: Approval, version: ModelVersion) -> None:
    """`Refused` for the author's own approval, and for one without a reason."""
    if approval.by == version.by:
        raise Refused(
            f"{approval.by} made {version.address}, and nobody approves what is their own",
            address=version.address,
            hint="somebody else runs kedge approve",
        )
    if not approval.reason.strip():
        raise Refused(
            f"an approval of {version.address} says why",
            address=version.address,
            hint=f'kedge approve {version.address} --reason "read 40 of its answers"',
        )
