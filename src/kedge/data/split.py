"""Which split a group of rows falls into: a group is never divided, and always falls the same way."""

from __future__ import annotations

import hashlib
from typing import Final

from kedge.core.dataset import Split
from kedge.data.types import SplitOptions

SPLITS: Final = tuple(Split)
RANK: Final = {Split.TRAIN: 0, Split.TEST: 1, Split.VALIDATION: 2}
"""A row gives way to one it would leak from: held-out rows to training, and validation to test."""


def fall(group: str, options: SplitOptions) -> Split:
    """The split of a group, drawn from its name and the seed."""
    drawn = hashlib.sha256(f"split:{options.seed}:{group}".encode()).digest()
    share = int.from_bytes(drawn[:8], "big") / 2**64
    if share < options.test:
        return Split.TEST
    return Split.VALIDATION if share < options.test + options.validation else Split.TRAIN
