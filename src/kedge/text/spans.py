"""Stretches of a text that mean something, found in what a reader sees rather than in how it is encoded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# Characters that show nothing: zero width, joiners, direction marks, soft hyphens, variation selectors.
HIDDEN = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
_ODD = re.compile(f"[{HIDDEN}\u00a0\u2000-\u200a\u2010-\u2015\u202f\u3000\uff01-\uff5e\u0660-\u0669\u06f0-\u06f9]")
_HIDDEN = re.compile(f"[{HIDDEN}]")
_PLAIN = {0xA0: " ", 0x202F: " ", 0x3000: " "}
_PLAIN |= dict.fromkeys(range(0x2000, 0x200B), " ") | dict.fromkeys(range(0x2010, 0x2016), "-")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`text[begin:end]` is of this kind."""

    begin: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Folded:
    """A text as it reads, and for each of its characters the place in the text it was made from."""

    text: str
    places: Sequence[int] | None = None

    def back(self, span: Span) -> Span:
        """The span in the text that this one was made from, with the hidden characters inside it."""
        if self.places is None:
            return span
        return Span(self.places[span.begin], self.places[span.end - 1] + 1, span.kind)


def fold(text: str) -> Folded:
    """The text without hidden characters, with plain blanks, hyphens, digits and letters for their full-width forms."""
    if text.isascii():
        return Folded(text)
    parts: list[str] = []
    places: list[int] = []
    at = 0
    for match in _ODD.finditer(text):
        odd = match.start()
        parts.append(text[at:odd])
        places.extend(range(at, odd))
        at = odd + 1
        if not _HIDDEN.match(match[0]):
            parts.append(_plain(match[0]))
            places.append(odd)
    if not at:
        return Folded(text)
    places.extend(range(at, len(text)))
    return Folded("".join((*parts, text[at:])), places)


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """The spans in order; of two that overlap the one that begins first stays, and of those the longest."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.begin, -span.end, span.kind)):
        if not kept or span.begin >= kept[-1].end:
            kept.append(span)
    return kept


def replace_spans(text: str, spans: Iterable[Span], substitute: Callable[[str, str], str]) -> str:
    """The text with `substitute(kind, content)` in place of each span. The spans are in order and do not overlap."""
    parts, at = [], 0
    for span in spans:
        parts += [text[at : span.begin], substitute(span.kind, text[span.begin : span.end])]
        at = span.end
    return "".join((*parts, text[at:]))


def _plain(character: str) -> str:
    plain = _PLAIN.get(ord(character)) or unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isdecimal():
        return str(unicodedata.digit(plain))
    return plain if len(plain) == 1 else character
