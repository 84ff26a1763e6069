"""A guard of what is found as spans: personal data, secrets, patterns. Masks it, or lets nothing pass that has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from kedge.core.guard import Ruling
from kedge.text.spans import Span, replace_spans

Action = Literal["mask", "block"]

LONGEST = 320  # characters without a blank that are held back at most

_LAST_WORD = re.compile(r"\S*\Z")
_PART = re.compile(r"(?:\S*[\d(+]\S*|[A-Z]{1,4}|ext\.?|x)\s{1,2}\Z")


class SpanGuard:
    """Finds spans with `find`. An answer is held back from where the last word, or a number in groups, began."""

    def __init__(self, find: Callable[[str], Sequence[Span]], action: Action, what: str) -> None:
        self._find = find
        self._action = action
        self._what = what

    def judge(self, text: str, start: int = 0) -> Ruling:
        """The text with a word such as `[EMAIL]` in place of what was found, or blocked."""
        found = [span for span in self._find(text) if span.end > start]
        if not found:
            return Ruling(text=text[start:] if start else text)
        kinds = tuple(dict.fromkeys(span.kind for span in found))
        if self._action == "block":
            return Ruling(text="", blocked=f"it has {self._what} in it", found=kinds)
        moved = [Span(max(0, span.begin - start), span.end - start, span.kind) for span in found]
        return Ruling(text=replace_spans(text[start:], moved, _mask), found=kinds)

    def settled(self, text: str, start: int = 0) -> int:
        """Before the last word; before the groups of digits that it may go on."""
        return settled_words(text, start)


def settled_words(text: str, start: int) -> int:
    """Up to where words are whole and no number in groups may go on."""
    last = _LAST_WORD.search(text, max(start, len(text) - LONGEST))
    at = last.start() if last else len(text)
    while at > start and len(text) - at < LONGEST:
        before = _PART.search(text, max(start, at - LONGEST), at)
        if before is None:
            break
        at = before.start()
    return at


def _mask(kind: str, content: str) -> str:
    return f"[{kind.upper()}]"
