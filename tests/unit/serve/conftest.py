"""What the tests of serving share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of three models that are adapters of the tiny one, each with another way to go on."""
    from kedge.testing.models import write_tiny_adapter

    folder = tmp_path_factory.mktemp("adapters")
    sayings = ("one two buckle my shoe", "one two is a pair of three", "one two café")
    for number, says in enumerate(sayings):
        write_tiny_adapter(tiny_model, folder / str(number), says=says)
    return [folder / str(number) for number in range(len(sayings))]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has learnt a few sentences by heart."""
    import torch

    from kedge.testing.models import write_tiny_model

    torch.set_num_threads(1)  # matrices this small are slower on several
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder
