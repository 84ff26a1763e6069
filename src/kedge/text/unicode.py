"""One spelling for one text: Unicode form, line ends and trailing blanks."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Form = Literal["NFC", "NFKC", "none"]

_TRAILING = re.compile(r"[ \t]+(?=\n|\Z)")


def tidy(text: str, *, form: Form = "NFC") -> str:
    """The text in one Unicode form, with `\\n` line ends, without blanks before them or empty lines around it."""
    if form != "none" and not text.isascii():
        text = unicodedata.normalize(form, text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if " \n" in text or "\t\n" in text or text[-1:].isspace():
        text = _TRAILING.sub("", text)
    return text.strip("\n")


def has_lone_surrogate(text: str) -> bool:
    """Whether the text holds half of a surrogate pair, which no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
