"""The guard `length`: texts that are too long are blocked, or cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kedge.core.errors import Invalid
from kedge.core.guard import Ruling
from kedge.serve.guards.options import read_options


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthOptions:
    """The most characters of one text."""

    characters: int
    action: Literal["cut", "block"] = "block"


class LengthGuard:
    """Counts characters."""

    def __init__(self, options: LengthOptions) -> None:
        self._most = options.characters
        self._cuts = options.action == "cut"

    def judge(self, text: str, start: int = 0) -> Ruling:
        """As it is up to the limit."""
        if len(text) <= self._most:
            return Ruling(text=text[start:])
        if self._cuts:
            return Ruling(text=text[start : self._most], found=("too_long",))
        return Ruling(text="", blocked=f"it is longer than {self._most} characters", found=("too_long",))

    def settled(self, text: str, start: int = 0) -> int:
        """Nothing before the end."""
        return start


def make_length(args: Mapping[str, Any]) -> LengthGuard:
    """A guard of how much is said."""
    options = read_options(LengthOptions, args, "length")
    if options.characters < 1:
        raise Invalid("the guard 'length' needs at least one character", hint="as characters = 4000")
    return LengthGuard(options)
