"""`python -m kedge` is the `kedge` command."""

from kedge.cli.main import run

run()
