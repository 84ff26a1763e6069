"""Markdown from values that nobody vouches for: what comes from data stays text, whatever it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$])")
_START = re.compile(r"^([-+=#]|\d+(?=[.)]))")  # a list, a heading or a rule, where a line begins
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "://": "&#58;//", "www.": "www&#46;"}


def escape(value: object) -> str:
    """A value as one line of plain text: no markup, no HTML, no links."""
    text = _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
    for sign, entity in _HTML.items():
        text = text.replace(sign, entity)
    return _START.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", text)


def code(value: str) -> str:
    """A value in a code span that it cannot leave."""
    text = " ".join(value.split())
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", "\\|")


def fence(text: str, language: str = "") -> str:
    """A block of code that its content cannot end."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text}\n{ticks}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
