"""Repairs text that was decoded as something it is not: `cafÃ©` for `café`."""

from __future__ import annotations

import re

import ftfy

# A letter that stands for the first byte of a UTF-8 character, and one that stands for a byte behind it.
_SIGN = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    "\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]|\u00ef\u00bb\u00bf"
)


def needs_repair(text: str) -> bool:
    """Whether a text shows signs of a wrong decoding. Nearly all do not, and are told at the speed of memory."""
    return not text.isascii() and _SIGN.search(text) is not None


def repair(text: str) -> str:
    """The text as it was meant, if it shows signs and the repair makes sense; otherwise the text itself."""
    return ftfy.fix_encoding(text) if needs_repair(text) else text
