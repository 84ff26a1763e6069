"""Tells the language of texts."""

from __future__ import annotations

from collections.abc import Callable

from py3langid.langid import MODEL_FILE, LanguageIdentifier

ENOUGH = 300  # characters that are looked at, from the middle: beginnings are often names and headings


def open_identifier() -> Callable[[str], tuple[str, float]]:
    """A function that gives the language of a text as ISO 639-1, and a score from 0 to 1."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(text: str) -> tuple[str, float]:
        begin = max(0, (len(text) - ENOUGH) // 2)
        language, score = identifier.classify(text[begin : begin + ENOUGH])
        return str(language), float(score)

    return identify
