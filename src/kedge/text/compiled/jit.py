"""Makes functions machine code when they are first called, and keeps it for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core.options import DefaultOptions

P = ParamSpec("P")
R = TypeVar("R")

# What counts references to arrays. Where numba has no such switch (it is not among its promises), it is only slower.
_NO_COUNTING: dict[str, Any] = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}


_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "boundscheck": False, "error_model": "numpy"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code that runs without the interpreter's lock. Its arguments are arrays and numbers."""
    return _made(function)


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """The same for what is called once a word: it makes no arrays, nor does anything that it calls.

    So nothing counts who holds the arrays it is given, which would take longer than most of these functions do.
    """
    return _made(function, **_NO_COUNTING)


def short(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a few lines that are put where they are called."""
    return _made(function, forceinline=True, **_NO_COUNTING)


def _made(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    made: Any = numba.njit(**_OPTIONS, **options)(function)
    result: Callable[P, R] = made
    return result
