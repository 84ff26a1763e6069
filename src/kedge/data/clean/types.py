"""How texts are repaired before anything is decided about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOptions:
    """All off unless asked for; each needs `kedge[clean]`.

    `mojibake` repairs text that was decoded wrongly, only where it shows the signs. `html` makes text of pages: `detect`
    where most of it is markup, so that code which mentions a tag is left alone. `boilerplate` drops lines of cookie
    notices, navigation and copyright. `blank_lines` is the most that follow each other (-1: any number).
    `languages` are the ones to keep, as ISO 639-1 (none: all); `language` and `language_score` become columns when there
    is one, or `tell_language` is on. Texts under `language_chars` are too short to tell and stay.
    """

    mojibake: bool = False
    html: Literal["keep", "detect", "always"] = "keep"
    boilerplate: bool = False
    blank_lines: int = -1
    tell_language: bool = False
    languages: tuple[str, ...] = ()
    min_language_score: float = 0.5
    language_chars: int = 40

    @property
    def asks_language(self) -> bool:
        """Whether the language is to be told."""
        return self.tell_language or bool(self.languages)

    @property
    def changes_text(self) -> bool:
        """Whether any text may change."""
        return self.mojibake or self.html != "keep" or self.boilerplate or self.blank_lines >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapOptions:
    """`against` names what evaluation uses: files of text or JSON Lines, or datasets by their digest (`sha256:...`), of
    which the held-out splits count. A row with `words` words in a row of it fails the build, or is dropped."""

    against: tuple[str, ...] = ()
    words: int = 13
    action: Literal["fail", "drop"] = "fail"
