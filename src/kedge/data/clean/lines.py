"""Leaves out lines that belong to a page rather than to its text."""

from __future__ import annotations

import re

_BOILERPLATE = re.compile(
    r"cookie (?:policy|settings|preferences)|(?:we|site|uses?) (?:use )?cookies|use of cookies|privacy policy|terms of (?:use|service)"
    r"|enable javascript|javascript (?:is )?(?:disabled|required)|all rights reserved|^\W*(?:copyright|\(c\)|©) "
    r"|^(?:share (?:this|on)|follow us|sign (?:in|up)|log ?in|subscribe|skip to (?:main )?content|back to top|read more"
    r"|click here|previous|next|home|menu|search|print|e-?mail this)\b.{0,30}$",
    re.IGNORECASE,
)
_LONGEST = 200  # characters of a line that may be boilerplate


def drop_boilerplate(text: str) -> str:
    """The text without short lines of notices and navigation. A text of such lines alone comes out empty."""
    return "\n".join(line for line in text.split("\n") if len(line) > _LONGEST or not _BOILERPLATE.search(line.strip()))


def limit_blank_lines(text: str, most: int) -> str:
    """No more than `most` blank lines one after the other."""
    return re.sub(r"\n(?:[ \t]*\n){%d,}" % (most + 1), "\n" * (most + 1), text)  # noqa: UP031 - braces are the pattern's
