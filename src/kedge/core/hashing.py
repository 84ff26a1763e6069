"""Canonical JSON and the digests everything is named by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from kedge.core.errors import Invalid

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
