"""What `import kedge` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kedge


@pytest.mark.parametrize("name", kedge.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(kedge, name).__doc__
    assert name in dir(kedge)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        kedge.nothing_like_it  # noqa: B018


def test_importing_kedge_imports_nothing_heavy() -> None:
    script = "import sys; before = set(sys.modules); import kedge; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "kedge" in loaded
    assert not {name for name in loaded if name.startswith(("kedge.", "sqlalchemy", "numpy", "torch", "msgspec"))}
