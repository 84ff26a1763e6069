from __future__ import annotations

from collections.abc import Iterator

import pytest

from kedge.testing.scripted import Scripted, scripted


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as made:
        yield made
