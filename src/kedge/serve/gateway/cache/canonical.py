"""What makes two requests the same: all that decides the answer, and nothing else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter

import msgspec

from kedge.core.generation import GenerationRequest


def _named(*, but: Sequence[str]) -> list[str]:
    return [field.name for field in fields(GenerationRequest) if field.name not in but]


_decides = attrgetter(*_named(but=("id", "whole")))
_settings = attrgetter(*_named(but=("id", "prompt", "input", "messages", "whole")))
_encode = msgspec.msgpack.Encoder(order="deterministic").encode

# A number or a negation more or less makes another question of the same words.
_TELLING = re.compile(r"\d+|\b(?:not?|never|none|without|n't|kein\w*|nicht|pas|sans|sin)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """A prompt that may be like another one's: its text, and what must be the same all the same."""

    text: str
    rest: bytes


def repeatable(requests: Sequence[GenerationRequest]) -> bool:
    """Whether nothing is left to chance in the answers."""
    return all(request.sampling.temperature == 0 or request.sampling.seed is not None for request in requests)


def fingerprint(tenant: str, bundle: str, requests: Sequence[GenerationRequest]) -> bytes:
    """The same for requests of one tenant that one bundle answers in the same way."""
    return _digest(tenant, bundle, [_decides(request) for request in requests])


def alike(tenant: str, bundle: str, requests: Sequence[GenerationRequest]) -> Alike | None:
    """The text by which a request is like others; None if it has no single one."""
    first = requests[0]
    if len(requests) != 1 or first.echo or first.embed or first.tokens is not None:
        return None
    if first.messages is not None:
        last = first.messages[-1]
        text, before = last.get("content"), list(first.messages[:-1])
        if last.get("role") != "user" or not isinstance(text, str):
            return None
    else:
        text, before = first.prompt if first.prompt is not None else first.input or "", []
    return Alike(text=text, rest=_digest(tenant, bundle, [before, _settings(first), _TELLING.findall(text.lower())]))


def _digest(tenant: str, bundle: str, value: object) -> bytes:
    hashed = _begun(tenant, bundle).copy()
    hashed.update(_counted(_encode(value)))
    return hashed.digest()


@lru_cache(256)
def _begun(tenant: str, bundle: str) -> hashlib.blake2b:
    """The hash after what all questions of a tenant to a bundle begin with."""
    return hashlib.blake2b(_counted(tenant.encode()) + _counted(bundle.encode()), digest_size=16)


def _counted(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
