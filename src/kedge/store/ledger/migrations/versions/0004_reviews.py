"""Approvals of versions, and labels that people gave to cases."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    pass
