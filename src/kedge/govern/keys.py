"""API keys: 256 random bits, shown once, kept as a keyed hash."""

from __future__ import annotations

import re
import secrets

from kedge.core.hashing import keyed_digest

PREFIX = "kdg_"
_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def mint_key() -> str:
    """A new key: `kdg_` and 256 random bits in URL-safe base 64."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str, secret: bytes) -> str:
    """What is kept of a key: HMAC-SHA256 under the project's secret. Random keys need no slow password hash."""
    return keyed_digest(secret, key.encode()).hex()


def looks_like_key(text: str) -> bool:
    """Whether a text has the form of a key, so that what cannot be one is refused without a look-up."""
    return _KEY.fullmatch(text) is not None
