"""What the tests of serving share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has learnt a few sentences by heart."""
    import torch

    from kedge.testing.models import write_tiny_model

    torch.set_num_threads(1)  # matrices this small are slower on several
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder
