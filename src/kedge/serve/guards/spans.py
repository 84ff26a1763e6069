"""A guard of what is found as spans: personal data, secrets, patterns. Masks it, or lets nothing pass that has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from kedge.core.guard import Ruling
from kedge.text.spans import Span, replace_spans

Action = Literal["mask", "block"]

LONGEST = 320  # characters without a blank that are held back at most

_BLANKS = " \n\t\r"
_PART = re.compile(r"[\d(+]")


class SpanGuard:
    """Finds spans with `find`. An answer is held back from where the last word, or a number in groups, began."""

    constant = True

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
    least = max(start, len(text) - LONGEST)
    at = _word_before(text, least, len(text))
    while at > least:
        end = at - 1
        while end > least and text[end - 1] in _BLANKS:
            end -= 1
        begin = _word_before(text, least, end)
        if not _may_go_on(text[begin:end]):
            break
        at = begin
    return at


def _word_before(text: str, least: int, end: int) -> int:
    """Where the word that ends there begins."""
    return max(least, *(text.rfind(blank, least, end) + 1 for blank in _BLANKS))


def _may_go_on(word: str) -> bool:
    """Whether a number may go on after it: it has digits, or it is the letters that an account begins with."""
    return bool(_PART.search(word)) or (len(word) <= 4 and word.isupper()) or word in ("x", "ext", "ext.")


def _mask(kind: str, content: str) -> str:
    return f"[{kind.upper()}]"
