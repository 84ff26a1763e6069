"""What a key may spend, and what tenants have spent."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
