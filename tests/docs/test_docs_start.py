"""Starting is light: what `kedge --help` loads."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"torch", "numpy", "pandas", "sqlalchemy", "pyarrow", "transformers", "scipy", "sklearn", "rich", "obstore"}
PROBE = """
import json, sys
sys.argv = ["kedge", *sys.argv[1:]]
import contextlib, io
from kedge.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main()
print(json.dumps([code, sorted(sys.modules)]))
"""


def loaded(*arguments: str) -> set[str]:
    """The modules in memory after a command that succeeded."""
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout)
    assert code == 0
    return set(modules)


def test_help_loads_at_most_250_modules_and_nothing_heavy() -> None:
    modules = loaded("--help")
    assert HEAVY & modules == set()
    assert len(modules) <= 250


def test_help_of_a_command_loads_nothing_heavy() -> None:
    assert HEAVY & loaded("run", "--help") == set()


def test_importing_kedge_imports_nothing_of_it() -> None:
    probe = "import sys, kedge; print(sorted(m for m in sys.modules if m.startswith('kedge.')))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
