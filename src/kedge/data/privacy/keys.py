"""Pseudonyms and index entries under a secret key: the same for the same content, telling nothing without the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kedge.core.errors import Invalid

LEAST = 16  # bytes of a key


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyKey:
    """A secret, from which the keys of pseudonyms, index and vault are drawn."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST:
            raise Invalid(
                f"a privacy key has at least {LEAST} bytes",
                hint="python -c 'import secrets; print(secrets.token_hex(32))'",
            )

    def pseudonym(self, kind: str, content: str) -> str:
        """A word in place of some content, as `[email:k3v7q2m4xz]`."""
        drawn = self._drawn("pseudonym", f"{kind}\0{spelt(kind, content)}")
        return f"[{kind}:{base64.b32encode(drawn[:10]).decode().lower()}]"

    def subject(self, content: str, kind: str = "") -> str:
        """The entry under which what names a person is indexed: 32 hexadecimal digits."""
        return self._drawn("subject", spelt(kind, content))[:16].hex()

    def seal(self, pseudonym: str, content: str) -> bytes:
        """Content that only the key opens, and only for this pseudonym. The same content is sealed the same way."""
        nonce = self._drawn("nonce", f"{pseudonym}\0{content}")[:12]
        return nonce + AESGCM(self._drawn("vault", "")).encrypt(nonce, content.encode(), pseudonym.encode())

    def unseal(self, pseudonym: str, sealed: bytes) -> str:
        """What was sealed. Raises `cryptography.exceptions.InvalidTag` if it is not what this key sealed."""
        return AESGCM(self._drawn("vault", "")).decrypt(sealed[:12], sealed[12:], pseudonym.encode()).decode()

    @property
    def id(self) -> str:
        """What may be told of the key: which one it is."""
        return self._drawn("id", "").hex()[:16]

    def _drawn(self, purpose: str, content: str) -> bytes:
        return hmac.new(self.secret, f"{purpose}\0{content}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def spelt(kind: str, content: str) -> str:
    """One spelling for one identifier: small letters, and for numbers their digits and letters alone."""
    plain = unicodedata.normalize("NFKC", content).casefold()
    plain = "".join(each for each in plain if unicodedata.category(each) != "Cf").strip()
    if (kind in {"", "email"} and "@" in plain) or kind == "ip":
        return plain
    letters = "".join(filter(str.isalnum, plain))
    return letters if any(map(str.isdigit, letters)) else plain
