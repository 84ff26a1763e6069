"""The guard `pii`: e-mail addresses, telephone numbers, accounts, cards, IP addresses and national ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid
from kedge.serve.guards.options import read_options
from kedge.serve.guards.spans import Action, SpanGuard
from kedge.text.identifiers import KINDS, find_identifiers
from kedge.text.spans import Span

_SIGN = re.compile(r"[0-9@:]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiOptions:
    """`kinds` none: all that are known."""

    action: Action = "mask"
    kinds: tuple[str, ...] = ()


def make_pii(args: Mapping[str, Any]) -> SpanGuard:
    """A guard that finds personal data by shape, check digits and the words around it."""
    options = read_options(PiiOptions, args, "pii")
    for kind in options.kinds:
        if kind not in KINDS:
            raise Invalid(f"the guard 'pii' knows no {kind!r}", hint=nearest(kind, KINDS))
    find = partial(_find, kinds=options.kinds or KINDS)
    return SpanGuard(find, options.action, "personal data")


def _find(text: str, kinds: Sequence[str]) -> list[Span]:
    """Identifiers; most texts have none of the signs that every one of them has."""
    if text.isascii() and not _SIGN.search(text):
        return []
    return find_identifiers(text, kinds)
