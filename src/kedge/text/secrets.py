"""Keys and passwords that were left in a text, by the patterns of those who issue them."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from kedge.text.spans import Span, fold, without_overlaps

_END = r"(?![A-Za-z0-9_-])"


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one issuer's keys look. `mark` is in every one of them, so that a text without it is passed over quickly.

    Group 1 is the secret if there is one. Keys that anybody may have written by hand must also look drawn at random:
    `entropy` is in bits a character.
    """

    kind: str
    mark: str
    pattern: re.Pattern[str]
    entropy: float = 0.0


def _pattern(kind: str, mark: str, pattern: str, entropy: float = 0.0) -> Pattern:
    return Pattern(kind, mark, re.compile(pattern), entropy)


PATTERNS = (
    _pattern("private_key", "-----BEGIN ", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[^-]{40,20000}-----END"),
    _pattern("aws_key", "AKIA", rf"(?<![A-Za-z0-9])AKIA[0-9A-Z]{{16}}{_END}", 2.5),
    _pattern("aws_key", "ASIA", rf"(?<![A-Za-z0-9])ASIA[0-9A-Z]{{16}}{_END}", 2.5),
    _pattern("aws_secret", "aws", r"(?i)aws.{0,20}(?:secret|key).{0,12}['\"=:\s]([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])", 4.0),
    _pattern("github_token", "gh", rf"gh(?<![A-Za-z0-9]gh)[pousr]_[A-Za-z0-9]{{36,251}}{_END}", 3.0),
    _pattern("github_token", "github_pat_", rf"github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{_END}", 3.0),
    _pattern("gitlab_token", "glpat-", rf"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{{20,}}{_END}", 3.0),
    _pattern("slack_token", "xox", r"(?<![A-Za-z0-9])xox[abeoprs]-(?:[0-9]{8,14}-){1,3}[A-Za-z0-9-]{16,}"),
    _pattern("slack_webhook", "hooks.slack.com", r"https://hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,28}"),
    _pattern("stripe_key", "k_live_", rf"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{{20,247}}{_END}", 3.0),
    _pattern("stripe_key", "k_test_", rf"(?<![A-Za-z0-9])[rs]k_test_[A-Za-z0-9]{{20,247}}{_END}", 3.0),
    _pattern("openai_key", "sk-", rf"(?<![A-Za-z0-9_-])sk-(?:proj-|svcacct-|admin-)[A-Za-z0-9_-]{{40,}}{_END}", 3.5),
    _pattern("openai_key", "T3BlbkFJ", rf"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{{20,74}}T3BlbkFJ[A-Za-z0-9_-]{{20,74}}{_END}"),
    _pattern("anthropic_key", "sk-ant-", rf"(?<![A-Za-z0-9_-])sk-ant-[a-z0-9]{{3,8}}-[A-Za-z0-9_-]{{80,120}}{_END}", 3.5),
    _pattern("google_key", "AIza", rf"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{{35}}{_END}", 3.5),
    _pattern("google_oauth", "GOCSPX-", rf"GOCSPX-[A-Za-z0-9_-]{{28}}{_END}", 3.0),
    _pattern("huggingface_token", "hf_", rf"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{{34,37}}{_END}", 3.5),
    _pattern("npm_token", "npm_", rf"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{{36}}{_END}", 3.5),
    _pattern("pypi_token", "pypi-AgE", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    _pattern("sendgrid_key", "SG.", rf"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}{_END}"),
    _pattern("twilio_key", "SK", rf"(?<![A-Za-z0-9])SK[0-9a-f]{{32}}{_END}", 3.0),
    _pattern("telegram_token", ":AA", rf"(?<![A-Za-z0-9])[0-9]{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_END}", 3.5),
    _pattern("digitalocean_token", "dop_v1_", rf"dop_v1_[0-9a-f]{{64}}{_END}"),
    _pattern("vault_token", "hvs.", rf"(?<![A-Za-z0-9])hvs\.[A-Za-z0-9_-]{{24,}}{_END}", 3.5),
    _pattern("azure_key", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{86}==)"),
    _pattern("jwt", "eyJ", rf"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{{8,}}\.eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{20,}}{_END}"),
    _pattern("kedge_key", "kedge_", rf"(?<![A-Za-z0-9])kedge_[A-Za-z0-9_-]{{32,}}{_END}", 3.5),
    _pattern("url_password", "://", r"://[A-Za-z0-9._~%+-]{1,64}:([^\s:/@'\"<>{}$*]{3,100})@[A-Za-z0-9.-]{2,}"),
)  # fmt: skip

# A value that looks drawn at random, behind a name that promises a secret.
_QUOTED = re.compile(r"['\"]([A-Za-z0-9_+/=.~!@#%^&*-]{16,200})['\"]")
_PROMISE = re.compile(
    r"(?i)(?:api[_-]?key|secret(?:[_-]?key)?|access[_-]?token|auth[_-]?token|client[_-]?secret|password|passwd)"
    r"['\"]?\s{0,3}(?:=|:|=>)\s{0,3}\Z"
)
# One of these is in all that `_PROMISE` finds: looked for first, because quotes are many and promises few.
_PROMISED = ("api", "secret", "token", "passw")
_ASSIGNED_ENTROPY = 3.5
_PLACEHOLDER = re.compile(
    r"(?i)example|sample|placeholder|your[_-]|change.?me|dummy|xxxx|<|\*{3}|\.{3}|[a-z]{12}|test[_-]?(?:key|token|pass)"
)
_FAKE_PASSWORDS = frozenset({"pass", "password", "passwd", "pwd", "secret", "pw", "token", "key"})


def find_secrets(text: str) -> list[Span]:
    """Every secret in a text, in order and without overlaps. The kind says who issued it."""
    folded = fold(text)
    content = folded.text
    spans: list[Span] = []
    for rule in PATTERNS:
        if rule.mark in content:
            spans += _found(rule, content)
    small = content.casefold()
    for match in _QUOTED.finditer(content) if any(map(small.__contains__, _PROMISED)) else ():
        if _PROMISE.search(content, max(0, match.start() - 40), match.start()) and _assigned(match[1]):
            spans.append(Span(*match.span(1), "secret"))
    return without_overlaps(folded.back(span) for span in spans)


def _found(rule: Pattern, content: str) -> list[Span]:
    group = 1 if rule.pattern.groups else 0
    return [
        Span(*match.span(group), rule.kind)
        for match in rule.pattern.finditer(content)
        if entropy(match[group]) >= rule.entropy
        and not (rule.kind == "url_password" and match[group].lower() in _FAKE_PASSWORDS)
    ]


def _assigned(value: str) -> bool:
    return entropy(value) >= _ASSIGNED_ENTROPY and any(map(str.isdigit, value)) and not _PLACEHOLDER.search(value)


def entropy(text: str) -> float:
    """How evenly the characters of a text are spread, in bits a character."""
    counts = Counter(text).values()
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in counts) if size else 0.0
