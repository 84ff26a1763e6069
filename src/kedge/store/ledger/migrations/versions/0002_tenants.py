"""What a key may spend, and what keys and tenants have spent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("keys", sa.Column("terms", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("keys", sa.Column("account", WORD, nullable=False, server_default=""))
    op.create_table(
        "usage",
        sa.Column("account", WORD, nullable=False),
        sa.Column("window", WORD, nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "window", name="pk_usage"),
    )
    op.create_table(
        "places",
        sa.Column("account", WORD, nullable=False),
        sa.Column("holder", WORD, nullable=False),
        sa.Column("places", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "holder", name="pk_places"),
    )
