"""Choices looked up by name: engines, scorers, sources, steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Generic, TypeVar

from kedge.core.errors import Conflict, NotFound

T = TypeVar("T")


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint naming the closest of `names`, or listing them all."""
    known = sorted(names)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


class Catalogue(Generic[T]):
    """Named makers of one kind of thing; each is called when first asked for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._makers: dict[str, Callable[[], T]] = {}
        self._made: dict[str, T] = {}

    def add(self, name: str, make: Callable[[], T]) -> None:
        """Register under a name that must be new."""
        if name in self._makers:
            raise Conflict(f"{self.kind} {name!r} is registered twice", address=name)
        self._makers[name] = make

    def get(self, name: str) -> T:
        """The thing itself; `NotFound` lists the names and the nearest match."""
        if name not in self._makers:
            raise NotFound(f"no {self.kind} is called {name!r}", address=name, hint=nearest(name, self._makers))
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._makers)
