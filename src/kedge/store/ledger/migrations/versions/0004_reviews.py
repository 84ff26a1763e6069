"""Approvals of versions, and labels that people gave to cases."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    create_reviews()
    create_approvals()


def create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("model", WORD, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.Column("bundle", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "by", name="pk_approvals"),
    )


def create_reviews() -> None:
    op.create_table(
        "review_cases",
        sa.Column("id", WORD, nullable=False),
        sa.Column("queue", WORD, nullable=False),
        sa.Column("row", WORD, nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("answerer", WORD, nullable=False),
        sa.Column("why", WORD, nullable=False),
        sa.Column("evaluation", WORD, nullable=False),
        sa.Column("bundle", WORD, nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_review_cases"),
    )
    op.create_index("ix_review_cases_queue_added", "review_cases", ["queue", "added"])
    op.create_table(
        "review_labels",
        sa.Column("id", COUNT, nullable=False),
        sa.Column("case", WORD, nullable=False),
        sa.Column("reviewer", WORD, nullable=False),
        sa.Column("label", WORD, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["review_cases.id"], name="fk_review_labels_case"),
        sa.PrimaryKeyConstraint("id", name="pk_review_labels"),
    )
    op.create_index("ix_review_labels_case_reviewer_id", "review_labels", ["case", "reviewer", "id"])
