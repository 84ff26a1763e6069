"""Receipts: what is handed back with every answer, in a header and in the body."""

from __future__ import annotations

import msgspec

from kedge.core.trace import Receipt

HEADER = b"x-kedge-receipt"


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed receipt with what it names."""

    receipt: str
    bundle: str
    trace: str

    @property
    def header(self) -> tuple[bytes, bytes]:
        """The response header."""
        return (HEADER, self.receipt.encode())


def issue(trace: str, bundle: str, secret: bytes) -> Issued:
    """The receipt for an answer of this bundle under this trace."""
    return Issued(receipt=Receipt(trace=trace, bundle=bundle).sealed(secret), bundle=bundle, trace=trace)
