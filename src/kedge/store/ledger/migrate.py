"""Brings a database to the newest schema. Loaded only when one is due, as Alembic is heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from kedge.core.errors import Refused

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings for the packaged migrations, over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection, *, revision: str = "head") -> None:
    """Apply what is missing up to `revision`, in the connection's transaction. `Refused` if the schema is unknown."""
    try:
        command.upgrade(configuration(connection), revision)
    except CommandError as error:
        raise Refused(
            f"the ledger's schema is not one this kedge knows: {error}",
            hint="it was written by a newer kedge: pip install --upgrade kedge",
        ) from error
