"""Answers in the words of the OpenAI API: what completions and chats have in common, encoded without dicts in between."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kedge.core.generation import TokenChoice
from kedge.serve.gateway.errors import ApiError
from kedge.serve.gateway.receipts import Issued
from kedge.serve.gateway.reply import Head, Usage

encode = msgspec.json.encode

DONE = b"data: [DONE]\n\n"
_LEAST = -9999.0  # JSON has no infinity; this is what the API says in its place
_BYTES = "bytes:"


class Frame:
    """What every body and every chunk of one answer has around its choices."""

    def __init__(self, head: Head, *, prefix: str, whole: str, chunk: str, usage: bool) -> None:
        issued = head.issued
        self.receipt = receipt_of(issued)
        named = b'","created":%d,"model":%s,"system_fingerprint":"fp_%s","choices":[' % (
            head.created,
            encode(head.model),
            issued.bundle.removeprefix("sha256:")[:12].encode(),
        )
        started = f'{{"id":"{prefix}-{issued.trace}","object":"'.encode()
        self._whole = started + whole.encode() + named
        self._chunk = b"data: " + started + chunk.encode() + named
        self._usage = usage
        self._end = b'],"usage":null}\n\n' if usage else b"]}\n\n"

    def whole(self, choices: Sequence[bytes], usage: Usage) -> bytes:
        """The body of an answer that is not streamed."""
        return b'%s%s],"usage":%s,"kedge":%s}' % (self._whole, b",".join(choices), usage_of(usage), self.receipt)

    def chunk(self, choice: bytes, *, last: bool = False) -> bytes:
        """A part of the stream; the last one carries the receipt."""
        if not last:
            return self._chunk + choice + self._end
        return b'%s%s],%s"kedge":%s}\n\n' % (
            self._chunk,
            choice,
            b'"usage":null,' if self._usage else b"",
            self.receipt,
        )

    def closing(self, usage: Usage) -> bytes:
        """The end of the stream, after the usage if the caller wants it."""
        if not self._usage:
            return DONE
        return b'%s],"usage":%s,"kedge":%s}\n\n%s' % (self._chunk, usage_of(usage), self.receipt, DONE)


def receipt_of(issued: Issued) -> bytes:
    """The field `kedge`."""
    said = f'{{"receipt":"{issued.receipt}","bundle":"{issued.bundle}","trace":"{issued.trace}"}}'
    return said.encode()


def broken(error: ApiError) -> bytes:
    """The end of a stream that cannot be finished."""
    return b"data: " + error.body() + b"\n\n"


def usage_of(usage: Usage) -> bytes:
    """The field `usage`."""
    read, made = usage.read, usage.made
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (read, made, read + made)


def told_logprob(logprob: float) -> float:
    """A log-probability as JSON can say it."""
    return max(logprob, _LEAST)


def bytes_of(text: str) -> bytes:
    """The bytes of a token's text, also where it is written as them."""
    if text.startswith(_BYTES):
        try:
            return bytes.fromhex(text[len(_BYTES) :].replace("\\x", ""))
        except ValueError:  # it is a token that only looks so
            pass
    return text.encode()


class Offsets:
    """Where the tokens of a text begin in it, in characters. A character of several tokens begins with its first."""

    def __init__(self) -> None:
        self._at = 0
        self._open = b""

    def next(self, token: TokenChoice) -> int:
        """Where this token begins."""
        at = self._at
        if not self._open and not token.text.startswith(_BYTES):
            self._at += len(token.text)
            return at
        self._open += bytes_of(token.text)
        try:
            self._at += len(self._open.decode())
        except UnicodeDecodeError:
            return at
        self._open = b""
        return at
