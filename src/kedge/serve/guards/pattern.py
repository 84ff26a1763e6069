"""The guard `pattern`: what regular expressions find is masked or blocked, or must be there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kedge.core.errors import Invalid
from kedge.core.guard import Guard, Ruling
from kedge.serve.guards.options import read_options
from kedge.serve.guards.spans import SpanGuard
from kedge.text.spans import Span, without_overlaps


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternOptions:
    """`patterns` by the name that a mask shows. With action `require` a whole text must match one of them."""

    patterns: Mapping[str, str]
    action: Literal["mask", "block", "require"] = "block"
    ignore_case: bool = False


class RequiredPattern:
    """Lets pass what matches as a whole."""

    def __init__(self, patterns: Mapping[str, re.Pattern[str]]) -> None:
        self._patterns = patterns

    def judge(self, text: str, start: int = 0) -> Ruling:
        """Blocked unless a pattern matches all of it."""
        if any(pattern.fullmatch(text) for pattern in self._patterns.values()):
            return Ruling(text=text[start:])
        return Ruling(text="", blocked=f"it does not match {' or '.join(self._patterns)}")

    def settled(self, text: str, start: int = 0) -> int:
        """Nothing before the end."""
        return start


def make_pattern(args: Mapping[str, Any]) -> Guard:
    """A guard by the operator's own patterns. They are trusted to be quick on any text."""
    options = read_options(PatternOptions, args, "pattern")
    if not options.patterns:
        raise Invalid("the guard 'pattern' needs patterns", hint='as patterns = { ticket = "T-[0-9]+" }')
    compiled = {}
    for name, pattern in options.patterns.items():
        try:
            compiled[name] = re.compile(pattern, re.IGNORECASE if options.ignore_case else 0)
        except re.error as error:
            raise Invalid(f"the guard 'pattern' cannot read {name!r}: {error}", hint=pattern) from error
    if options.action == "require":
        return RequiredPattern(compiled)

    def find(text: str) -> list[Span]:
        found = [
            Span(*match.span(), name)
            for name, pattern in compiled.items()
            for match in pattern.finditer(text)
            if match.end() > match.start()
        ]
        return without_overlaps(found)

    return SpanGuard(find, options.action, "what a pattern forbids")
