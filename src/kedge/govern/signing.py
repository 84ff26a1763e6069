"""Signatures of what the project says of itself: Ed25519 over canonical JSON."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kedge.core.errors import Broken
from kedge.core.hashing import canonical, digest

_SIGNATURE = re.compile(r"ed25519:(?P<key>[0-9a-f]{16}):(?P<bytes>[A-Za-z0-9_-]{86})")


def new_key() -> bytes:
    """A fresh private key as PEM, to be kept in a file that only its owner can read."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Signer:
    """Signs with one private key and knows its own signatures again."""

    def __init__(self, pem: bytes) -> None:
        """`Broken` if the bytes are not an Ed25519 private key."""
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Broken(f"the signing key cannot be read: {error}", hint="restore .kedge/signing.key") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise Broken("the signing key is not an Ed25519 key", hint="restore .kedge/signing.key")
        self._private = private

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes: all that anyone needs to verify."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, value: Any) -> str:
        """The signature of a value's canonical JSON, as `ed25519:KEY:SIGNATURE`. The same value gives the same text."""
        signed = base64.urlsafe_b64encode(self._private.sign(canonical(value))).rstrip(b"=").decode()
        return f"ed25519:{key_id(self.public)}:{signed}"

    def verify(self, value: Any, signature: str) -> bool:
        """Whether this key signed exactly this value."""
        return verify(value, signature, self.public)


def key_id(public: bytes) -> str:
    """The short name of a public key: 16 hexadecimal digits of its digest."""
    return digest(public).removeprefix("sha256:")[:16]


def verify(value: Any, signature: str, public: bytes) -> bool:
    """Whether `signature` is that of `value` by the key with this public half."""
    match = _SIGNATURE.fullmatch(signature)
    if match is None or match["key"] != key_id(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            base64.urlsafe_b64decode(match["bytes"] + "=="), canonical(value)
        )
    except (InvalidSignature, binascii.Error):
        return False
    return True
