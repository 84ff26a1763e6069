"""Makes functions machine code when they are first called, and keeps it for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code that runs without the interpreter's lock. Its arguments are arrays and numbers."""
    made: Any = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")(function)
    result: Callable[P, R] = made
    return result
