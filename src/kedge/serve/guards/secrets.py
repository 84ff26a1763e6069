"""The guard `secrets`: keys, tokens and passwords, by the patterns of those who issue them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedge.serve.guards.options import read_options
from kedge.serve.guards.spans import Action, SpanGuard
from kedge.text.secrets import PATTERNS, find_secrets
from kedge.text.spans import Span

_BLOCK = "-----BEGIN "
_BLOCK_END = "-----END"
_LONGEST_BLOCK = 20_000
_MARKS = (*dict.fromkeys(pattern.mark for pattern in PATTERNS), "'", '"')
_ASSIGNED = re.compile(r"(?i)(?:aws|secret|key|token|passw\w*|pwd)\W{0,3}[^\n]{0,60}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOptions:
    """What is done with a secret."""

    action: Action = "mask"


class SecretGuard(SpanGuard):
    """Holds an answer back from where a private key or an assignment began."""

    def settled(self, text: str, start: int = 0) -> int:
        """Before the last word, the assignment or the block that may go on."""
        at = super().settled(text, start)
        assigned = _ASSIGNED.search(text, max(start, len(text) - 100))
        if assigned is not None:
            at = min(at, assigned.start())
        block = text.rfind(_BLOCK, max(start, len(text) - _LONGEST_BLOCK))
        if block >= 0:
            end = text.find(_BLOCK_END, block)
            if end < 0 or at < end + len(_BLOCK_END):
                at = min(at, block)
        return at


def make_secrets(args: Mapping[str, Any]) -> SecretGuard:
    """A guard that finds what must not be said aloud."""
    options = read_options(SecretOptions, args, "secrets")
    return SecretGuard(_find, options.action, "a secret")


def _find(text: str) -> list[Span]:
    """Secrets; most texts have none of the marks of which one is in every secret."""
    if text.isascii() and not any(map(text.__contains__, _MARKS)):
        return []
    return find_secrets(text)
