"""The guard `topic`: words that must not come up, or of which one must."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kedge.core.errors import Invalid
from kedge.core.guard import Ruling
from kedge.serve.guards.options import read_options
from kedge.text.spans import fold


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicOptions:
    """Words and phrases, in any case; a `*` at the end takes any ending. `need` is judged on whole texts only."""

    deny: tuple[str, ...] = ()
    need: tuple[str, ...] = ()


class TopicGuard:
    """Blocks by words."""

    def __init__(self, deny: Sequence[str], need: Sequence[str]) -> None:
        self._deny = _words(deny)
        self._need = _words(need)
        self._longest = max((len(phrase) for phrase in deny), default=0) + 40

    def judge(self, text: str, start: int = 0) -> Ruling:
        """Blocked if a denied word is in it, or none of the needed ones is."""
        content = fold(text).text
        denied = self._deny.search(content) if self._deny else None
        if denied is not None:
            return Ruling(
                text="", blocked="it is about what this endpoint does not speak of", found=(denied[0].lower(),)
            )
        if self._need and not self._need.search(content):
            return Ruling(text="", blocked="it is not about what this endpoint is for")
        return Ruling(text=text[start:])

    def settled(self, text: str, start: int = 0) -> int:
        """Where no denied phrase may be under way; with needed words, nothing before the end."""
        return start if self._need else max(start, len(text) - self._longest)


def make_topic(args: Mapping[str, Any]) -> TopicGuard:
    """A guard of what is spoken of."""
    options = read_options(TopicOptions, args, "topic")
    if not (options.deny or options.need):
        raise Invalid("the guard 'topic' needs words", hint='as deny = ["weapon*", "legal advice"]')
    return TopicGuard(options.deny, options.need)


def _words(phrases: Sequence[str]) -> re.Pattern[str] | None:
    if not phrases:
        return None
    written = []
    for phrase in phrases:
        if not phrase.strip("* "):
            raise Invalid("the guard 'topic' was given an empty word", hint="leave it out")
        stem = r"\s+".join(re.escape(word) for word in phrase.rstrip("*").split())
        written.append(stem + (r"\w*" if phrase.endswith("*") else r"(?!\w)"))
    return re.compile(rf"(?<!\w)(?:{'|'.join(written)})", re.IGNORECASE)
