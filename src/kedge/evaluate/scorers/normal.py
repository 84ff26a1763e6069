"""What may differ between an answer and a target that are the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """What is made alike before two texts are compared; white space around them always is.

    `case`, `punctuation`, `articles` (English), inner `spaces` and compatible letters (`unicode`, NFKC).
    """

    case: bool = False
    punctuation: bool = False
    articles: bool = False
    spaces: bool = False
    unicode: bool = False

    def __call__(self, text: str) -> str:
        """The text as it is compared."""
        if self.unicode:
            text = unicodedata.normalize("NFKC", text)
        if self.case:
            text = text.casefold()
        if self.punctuation:
            text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
        if self.articles:
            text = _ARTICLES.sub(" ", text)
        if self.spaces or self.articles:
            text = " ".join(text.split())
        return text.strip()
