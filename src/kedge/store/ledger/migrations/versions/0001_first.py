"""The first schema of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    create_runs()
    create_artifacts()
    create_models()
    create_verdicts()
    create_releases()
    create_keys_and_audit()


def create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", WORD, nullable=False),
        sa.Column("stage", WORD, nullable=False),
        sa.Column("step", WORD, nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
        sa.Column("code", WORD, nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("pipeline", WORD, nullable=False),
        sa.Column("host", WORD),
        sa.Column("pid", sa.BigInteger()),
        sa.Column("process_started", sa.Double()),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_key_status_ended", "runs", ["key", "status", "ended"])
    op.create_index("ix_runs_pipeline", "runs", ["pipeline"])
    op.create_index("ix_runs_stage_started", "runs", ["stage", "started"])
    op.create_index("ix_runs_started_id", "runs", ["started", "id"])
    op.create_index("ix_runs_status_started", "runs", ["status", "started"])
    op.create_table(
        "run_params",
        sa.Column("run", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("number", sa.Double()),
        sa.Column("text", WORD, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_params_run"),
        sa.PrimaryKeyConstraint("run", "name", name="pk_run_params"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_params_name_number_run", "run_params", ["name", "number", "run"])
    op.create_table(
        "run_artifacts",
        sa.Column("run", WORD, nullable=False),
        sa.Column("side", WORD, nullable=False),
        sa.Column("port", WORD, nullable=False),
        sa.Column("artifact", WORD, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_artifacts_run"),
        sa.PrimaryKeyConstraint("run", "side", "port", name="pk_run_artifacts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_artifacts_artifact_side", "run_artifacts", ["artifact", "side"])
    op.create_table(
        "series",
        sa.Column("id", COUNT, nullable=False),
        sa.Column("run", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_series_run"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("run", "name", name="uq_series_run_name"),
    )
    op.create_index("ix_series_name_value_run", "series", ["name", "value", "run"])
    op.create_table(
        "points",
        sa.Column("id", COUNT, nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["series"], ["series.id"], name="fk_points_series"),
        sa.PrimaryKeyConstraint("id", name="pk_points"),
    )
    op.create_index("ix_points_series_step", "points", ["series", "step"])


def create_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("digest", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_artifacts"),
    )
    op.create_index("ix_artifacts_added", "artifacts", ["added"])
    op.create_table(
        "holds",
        sa.Column("digest", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["artifacts.digest"], name="fk_holds_digest"),
        sa.PrimaryKeyConstraint("digest", name="pk_holds"),
    )


def create_models() -> None:
    op.create_table(
        "models",
        sa.Column("name", WORD, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
    )
    op.create_table(
        "model_versions",
        sa.Column("name", WORD, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("bundle", WORD, nullable=False),
        sa.Column("model", WORD, nullable=False),
        sa.Column("card", WORD),
        sa.Column("run", WORD, nullable=False),
        sa.Column("registered", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.ForeignKeyConstraint(["bundle"], ["artifacts.digest"], name="fk_model_versions_bundle"),
        sa.ForeignKeyConstraint(["card"], ["artifacts.digest"], name="fk_model_versions_card"),
        sa.ForeignKeyConstraint(["model"], ["artifacts.digest"], name="fk_model_versions_model"),
        sa.ForeignKeyConstraint(["name"], ["models.name"], name="fk_model_versions_name"),
        sa.PrimaryKeyConstraint("name", "version", name="pk_model_versions"),
        sa.UniqueConstraint("name", "bundle", name="uq_model_versions_name_bundle"),
    )
    op.create_index("ix_model_versions_bundle", "model_versions", ["bundle"])
    op.create_index("ix_model_versions_card", "model_versions", ["card"])
    op.create_index("ix_model_versions_model", "model_versions", ["model"])
    op.create_table(
        "alias_moves",
        sa.Column("id", COUNT, nullable=False),
        sa.Column("model", WORD, nullable=False),
        sa.Column("alias", WORD, nullable=False),
        sa.Column("before", sa.BigInteger()),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("verdict", WORD, nullable=False),
        sa.Column("override", sa.Boolean(), nullable=False),
        sa.Column("rollback", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alias_moves"),
    )
    op.create_index("ix_alias_moves_model_alias_id", "alias_moves", ["model", "alias", "id"])
    op.create_table(
        "aliases",
        sa.Column("model", WORD, nullable=False),
        sa.Column("alias", WORD, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("move", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "version"], ["model_versions.name", "model_versions.version"], name="fk_aliases_model_version"
        ),
        sa.ForeignKeyConstraint(["move"], ["alias_moves.id"], name="fk_aliases_move"),
        sa.PrimaryKeyConstraint("model", "alias", name="pk_aliases"),
    )
    op.create_index("ix_aliases_model_version", "aliases", ["model", "version"])


def create_verdicts() -> None:
    op.create_table(
        "gates",
        sa.Column("digest", WORD, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_gates"),
    )
    op.create_table(
        "verdicts",
        sa.Column("id", WORD, nullable=False),
        sa.Column("gate", WORD, nullable=False),
        sa.Column("bundle", WORD, nullable=False),
        sa.Column("evaluation", WORD, nullable=False),
        sa.Column("dataset", WORD, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("run", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_bundle_at", "verdicts", ["bundle", "at"])


def create_releases() -> None:
    op.create_table(
        "endpoints",
        sa.Column("name", WORD, nullable=False),
        sa.Column("model", WORD, nullable=False),
        sa.Column("alias", WORD, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_endpoints"),
    )
    op.create_table(
        "releases",
        sa.Column("id", COUNT, nullable=False),
        sa.Column("endpoint", WORD, nullable=False),
        sa.Column("model", WORD, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("bundle", WORD, nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint"], ["endpoints.name"], name="fk_releases_endpoint"),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
    )
    op.create_index("ix_releases_endpoint_role_id", "releases", ["endpoint", "role", "id"])
    op.create_table(
        "heartbeats",
        sa.Column("endpoint", WORD, nullable=False),
        sa.Column("host", WORD, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("bundle", WORD, nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "host", "pid", name="pk_heartbeats"),
    )


def create_keys_and_audit() -> None:
    op.create_table(
        "keys",
        sa.Column("id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("hash", WORD, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.Column("expires", sa.BigInteger()),
        sa.Column("revoked", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", WORD, nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("subject", WORD, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("before", WORD, nullable=False),
        sa.Column("hash", WORD, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
