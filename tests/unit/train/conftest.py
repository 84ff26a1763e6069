"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedge.testing.training import make_rows, tiny_options, tiny_train, write_tokenizer
from kedge.train.types import TrainResult


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tokenizer."""
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), make_rows(40))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A tiny model, trained without interruption."""
    return tiny_train(tmp_path_factory.mktemp("trained"), tiny_options(steps=400))
