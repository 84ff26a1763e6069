"""`python -m kedge`: the command line."""

from kedge.cli.main import main

main()
