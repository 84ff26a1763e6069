"""Guards: what stands before and behind a model and decides which text may pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Side = Literal["in", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a guard makes of a text: how it goes on, why it may not ("": it may), and what was found in it."""

    text: str
    blocked: str = ""
    found: tuple[str, ...] = ()


class Guard(Protocol):
    """Judges prompts as a whole, and answers as they come. Called by one thread, and keeps nothing between calls."""

    def judge(self, text: str, start: int = 0) -> Ruling:
        """Judge `text[start:]`, which the ruling's text replaces. What is before it was judged and has gone out; it only
        tells what the rest means."""
        ...

    def settled(self, text: str, start: int = 0) -> int:
        """Up to where `text[start:]` can be judged although more may follow: what is after that waits. `len(text)` for
        a guard that needs nothing after it, `start` for one that judges nothing but whole answers."""
        ...


GuardMaker = Callable[[Mapping[str, Any]], Guard]
"""Makes a guard from the arguments of its spec. `Invalid` says what is wrong with them."""
