"""Canonical JSON and the digests everything is named by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from kedge.core.errors import Invalid

_BLOCK = 64  # bytes, of SHA-256

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def canonical(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces. NaN and infinities are refused with `Invalid`."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Invalid(f"not representable as canonical JSON: {error}") from error
    return text.encode()


def digest(data: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """The digest of a value's canonical JSON."""
    return digest(canonical(value))


def parse_digest(text: str) -> str:
    """`text` if it is a well-formed digest; `Invalid` otherwise."""
    if not DIGEST.fullmatch(text):
        raise Invalid(f"not a digest: {text[:80]!r}", hint="a digest is sha256: and 64 hexadecimal digits")
    return text


def row_id(content: Mapping[str, Any], source: str) -> str:
    """The id of a row: 32 hexadecimal digits over its canonical content and its source coordinates."""
    return hashlib.sha256(canonical([content, source])).hexdigest()[:32]


def keyed_digest(secret: bytes, data: bytes) -> bytes:
    """HMAC-SHA256. The key is prepared once for each secret, which takes longer than the digest of a short text."""
    inner, outer = _prepare(secret)
    inner, outer = inner.copy(), outer.copy()
    inner.update(data)
    outer.update(inner.digest())
    return outer.digest()


@cache
def _prepare(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of an HMAC (RFC 2104) after the padded key."""
    key = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in key)), hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
