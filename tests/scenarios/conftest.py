"""A small project, on a laptop's stores and on servers, and the command line that drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kedge.testing.postgres import TemporaryPostgres
from kedge.testing.s3 import CREDENTIALS, TemporaryS3

TOML = """
[project]
name = "sums"
{store}
[stages.data]
step = "dataset"
source = {{ name = "jsonl", path = "rows.jsonl" }}
split = {{ test = 0.3, validation = 0.1 }}

[stages.index]
step = "index"

[stages.tokenizer]
step = "tokenizer"
vocabulary = 300

[stages.train]
step = "train"
prompt = "{{input}}="
shape = {{ hidden = 32, intermediate = 64, layers = 2, heads = 2, context = 64 }}
steps = 60
max_tokens = 64
precision = "float32"

[stages.bundle]
step = "bundle"
sampling = {{ max_tokens = 4 }}

[stages.evaluate]
step = "evaluate"
cases = 40
scorers = ["exact_match", "perplexity"]

[stages.gate]
step = "gate"
rules = [{{ metric = "perplexity", at_most = 60.0 }}]

[stages.register]
step = "register"
model = "sums"

[endpoints.sums]
model = "sums"
port = 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The real `kedge` in a project."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with `--json`, after checking its exit code."""
        done = subprocess.run(
            self.command(*arguments, "--json"), capture_output=True, text=True, env=self.surroundings, check=False
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    def text(self, *arguments: str) -> str:
        """What a command prints for a person."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, env=self.surroundings, check=True
        ).stdout

    @contextmanager
    def serving(self) -> Iterator[dict[str, Any]]:
        """`kedge serve` for the time of a block: its word when it is ready, with the key."""
        command = self.command("serve", "--json")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.surroundings) as process:
            assert process.stdout is not None
            said: dict[str, Any] = {}
            try:
                while said.get("event") != "ready":
                    said |= json.loads(process.stdout.readline())
                yield said
            finally:
                process.terminate()
                assert process.wait(60) == 0

    def command(self, *arguments: str) -> list[str]:
        """The command in full."""
        return [sys.executable, "-m", "kedge", "-C", str(self.root), *arguments]

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment of the command."""
        return {**os.environ, **self.environment}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[TemporaryPostgres, TemporaryS3]]:
    """A PostgreSQL and an S3-compatible server."""
    postgres, s3 = TemporaryPostgres(), TemporaryS3()
    yield postgres, s3
    s3.close()
    postgres.close()


@pytest.fixture(scope="module", params=["laptop", "servers"])
def kedge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A project of sums, `2+3` and what they make, on each kind of stores: the commands are the same."""
    root = tmp_path_factory.mktemp("sums")
    store, environment = "", {}
    if request.param == "servers":
        postgres, s3 = request.getfixturevalue("servers")
        store = f'\n[store]\nledger = "env:LEDGER"\nblobs = "{s3.bucket()}"\n'
        environment = {"LEDGER": postgres.database(), **CREDENTIALS}
    (root / "kedge.toml").write_text(TOML.format(store=store))
    rows = [{"input": f"{a}+{b}", "target": str(a + b)} for a in range(14) for b in range(14)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return CommandLine(root=root, environment=environment)
