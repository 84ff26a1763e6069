"""`python -m kedge` is the `kedge` command."""

import sys

from kedge.cli.main import main

sys.exit(main())
