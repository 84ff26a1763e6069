"""Tags of rows: one spelling for the value of one, and how often some are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from kedge.core.hashing import canonical
from kedge.data.arrays import to_numpy


def tag_text(value: Any) -> str:
    """The value as canonical JSON, plain texts and numbers without the detour."""
    if type(value) is int:
        return str(value)
    plain = (
        isinstance(value, str) and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
    )
    return f'"{value}"' if plain else canonical(value).decode()


def count_tags(column: pa.Array) -> Mapping[str, int]:
    """How often each of the texts of a column of tags is there, in the order in which they came."""
    told = column.dictionary_encode()
    times = np.bincount(to_numpy(told.indices), minlength=len(told.dictionary))
    return dict(zip(told.dictionary.to_pylist(), times.tolist(), strict=True))
