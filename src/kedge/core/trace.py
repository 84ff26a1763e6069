"""What happened to one request, and the part of it handed back to the caller."""

from __future__ import annotations

import hmac
import re
import time
from dataclasses import dataclass
from random import Random

from kedge.core.errors import Invalid, Refused
from kedge.core.hashing import keyed_digest

MAX_COMMENT = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RECEIPT = re.compile(r"rcpt_(?P<trace>[0-9a-f]{32})_(?P<bundle>[0-9a-f]{64})_(?P<seal>[0-9a-f]{16})")


def new_trace_id(draw: Random) -> str:
    """A name that no other trace has, as 32 hexadecimal digits: a UUID of version 7 (RFC 9562).

    It begins with the time, so that later ones are greater and an index of them grows at its end.
    """
    bits = draw.getrandbits(74)
    drawn = (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    return f"{time.time_ns() // 1_000_000 << 80 | 7 << 76 | drawn:032x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Names the trace and the very bundle that answered; enough to walk the graph even if the trace is lost."""

    trace: str  # 32 hexadecimal digits
    bundle: str  # sha256:...

    def sealed(self, secret: bytes) -> str:
        """The receipt as text, with a seal only this project can make."""
        body = f"{self.trace}_{self.bundle.removeprefix('sha256:')}"
        return f"rcpt_{body}_{_seal(body, secret)}"


def parse_receipt(text: str, secret: bytes | None = None) -> Receipt:
    """Read a receipt; `Invalid` if it is malformed, `Refused` if `secret` is given and did not seal it."""
    match = _RECEIPT.fullmatch(text.strip())
    if match is None:
        raise Invalid(
            f"not a receipt: {text[:80]!r}", hint="a receipt is the value of the x-kedge-receipt header of an answer"
        )
    body = f"{match['trace']}_{match['bundle']}"
    if secret is not None and not hmac.compare_digest(_seal(body, secret), match["seal"]):
        raise Refused("this receipt was not issued by this project", hint="check that you are in the right project")
    return Receipt(trace=match["trace"], bundle=f"sha256:{match['bundle']}")


def _seal(body: str, secret: bytes) -> str:
    return keyed_digest(secret, body.encode()).hex()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a person or a judge said of one answer. `value` is from 0 (bad) to 1 (good), `at` in seconds since the epoch.

    Everything that is said is kept; of what one answer was told under one name, the first word counts.
    """

    trace: str
    name: str
    value: float
    at: float
    by: str
    comment: str = ""
    endpoint: str = ""
    bundle: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise Invalid(f"a feedback's value is not {self.value:g}", hint="from 0 (bad) to 1 (good)")
        if not _NAME.fullmatch(self.name):
            raise Invalid(f"not a feedback's name: {self.name[:80]!r}", hint="lower-case letters, digits, . _ and -")
        if len(self.comment) > MAX_COMMENT:
            raise Invalid(f"a comment has at most {MAX_COMMENT:,} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One request to an endpoint. Times: `at` in seconds since the epoch, durations in milliseconds.

    `prompt` and `answer` are JSON or plain text as the caller sent and got them; `error` is "" on success.
    `role` is the part of the traffic it belonged to (stable, canary, shadow, fallback), `cache` what answered in the
    engine's place ("", exact, semantic), `parent` the trace that it repeats (of a shadow or a replay), or of the request
    that it was a failed attempt at.
    `detail` is a JSON object ("" for none) of what is looked up by person, not by query: the version that answered
    (`address`), the sampling, what each guard decided, what it cost.
    """

    id: str
    at: float
    endpoint: str
    bundle: str
    key: str
    route: str
    status: int
    prompt: str = ""
    answer: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    error: str = ""
    tenant: str = ""
    role: str = "stable"
    cache: str = ""
    parent: str = ""
    detail: str = ""
