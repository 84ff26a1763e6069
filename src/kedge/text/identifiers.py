"""E-mail addresses, telephone numbers, accounts, cards, IP addresses and national ids in a text.

Every pattern is checked by what is known of it: check digits, lengths, prefixes, and words near it where the shape
alone says too little. Standard library only, and quick on text that has none of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator

from kedge.text.checksums import iban, luhn
from kedge.text.domains import is_top_level
from kedge.text.national import DIGITS, LETTERS, Rule
from kedge.text.spans import Span, fold, without_overlaps

NATIONAL = tuple(sorted({rule.kind for rule in (*DIGITS, *LETTERS)}))
KINDS = ("email", "phone", "iban", "card", "ip", *NATIONAL)
NEAR = 48  # characters before a number in which a word says what it is

_LOCAL = re.compile(r"[A-Za-z0-9\u00c0-\uffff.!#$%&'*+/?^_~-]{1,64}\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9\u00c0-\uffff](?:[A-Za-z0-9\u00c0-\uffff-]{0,61}[A-Za-z0-9\u00c0-\uffff])?\.){1,8}([A-Za-z\u00c0-\uffff]{2,24}|xn--[A-Za-z0-9-]{2,50})(?![A-Za-z0-9-])")  # fmt: skip
_NUMERIC = re.compile(r"[0-9](?:[0-9().\-/ AB]{4,60}[0-9]|[0-9]{0,3}(?:\.[0-9]{1,3}){3})")
# Two digits behind a capital, or eight before one. It begins with digits because those are rare: the search skips the rest.
_LETTERED = re.compile(r"[0-9](?:(?<=[A-Z][0-9])[0-9]|(?<=[A-Z] [0-9])[0-9]|[0-9]{7}-?[A-Z])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}[0-9]{2}[A-Z0-9 ]{10,40}")
_IPV4 = re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])")
_IP_WORDS = re.compile(
    r"(?i)(?<![a-z])(?:ip|ipv4|ips?_?addr\w*|\w*addr(?:ess)?\w*|hosts?|hostname|dns|server|inet|from|client|connect\w*|peer|ping|gateway|\w+://)(?![a-z])"
)
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?::(?:[0-9]{1,3}\.){3}[0-9]{1,3})?(?![\w:]|\.[0-9])"
)
_CARD = re.compile(r"(?<![\w.+-])(?:[0-9]{4}([ -])(?:[0-9]{4}\1){2}[0-9]{1,7}|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5}|[0-9]{13,19})(?![\w-]|\.[0-9])")  # fmt: skip
_GROUP_BEFORE = re.compile(r"[0-9A-Fa-f]{4}\s\Z")
_GROUP_AFTER = re.compile(r"\s[0-9A-Fa-f]{4}(?!\w)")
_CARD_WORDS = re.compile(
    r"(?i)(?<![a-z0-9])(?:credit_?card|card|visa|master ?card|amex|american express|discover|credit|debit|payment|kreditkarte|karte|cc|pan|paid)(?![a-z0-9])"
)
_BRANDS = re.compile(r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|(?:5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|6(?:011|5[0-9]{2}|4[4-9][0-9])[0-9]{12}|35[0-9]{14}|(?:5[06-9]|6[0-9])[0-9]{10,17}")  # fmt: skip

_PHONE = re.compile(r"""
    (?<![\w.,/=\#$%&-])(?:
      \+[1-9][0-9]{0,2}[ .\-/]{0,2}(?:\(0\)[ ]?)?(?:[0-9(][0-9() .\-/]{5,17})[0-9]             # +44 20 7946 0958
    | 00[1-9][0-9]{0,2}[ .\-/](?:\(0\))?[0-9(][0-9() .\-/]{5,17}[0-9]                          # 0049 30 123456
    | (?:1[ .-]?)?\([2-9][0-9]{2}\)[ .-]?[2-9][0-9]{2}[ .-][0-9]{4}                            # (212) 555-0123
    | (?:1[ .-])?[2-9][0-9]{2}([.-])[2-9][0-9]{2}\1[0-9]{4}                                    # 212-555-0123
    | \(0[1-9][0-9]{1,4}\)[ ]?[0-9][0-9 -]{4,10}[0-9]                                          # (0118) 496 0123
    | 0[1-9][0-9]{1,4}[ /-][0-9]{3,8}(?:[ -][0-9]{2,6}){0,2}                                   # 030 1234567
    | 0[1-9](?:([ .])[0-9]{2}\2[0-9]{2}\2[0-9]{2}\2[0-9]{2})                                   # 01 23 45 67 89
    )(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?(?![\w]|[.,/-][0-9])""", re.VERBOSE)  # fmt: skip
_PHONE_LOOSE = re.compile(r"(?<![\w.,/-])\+?\(?[0-9][0-9() .\-/]{5,18}[0-9](?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?(?![\w]|[.,/-][0-9])")  # fmt: skip
_PHONE_WORDS = re.compile(
    r"(?i)(?<![a-z])(?:tel(?:ephone|efon|efoon)?|phone|t[ée]l[ée]phone|mobile?|handy|cell|call|fax|whatsapp|sms|hotline|rufnummer|dial|ring"
    r"|reach \w+)(?:[_ -]?(?:numbers?|no|nr|num))?[\s.:=#'\"(+]*(?:(?:me|us|is|at|on|now|under|unter|or)[\s.:=#'\"(+]*){0,2}\Z"
)
# One of these is in all that `_PHONE_WORDS` finds in plain letters: looked for first, because most numbers are not called.
_PHONE_MARKS = ("tel", "phon", "mobil", "handy", "cell", "call", "fax", "whatsapp", "sms", "hotline", "ruf", "dial", "ring", "reach")  # fmt: skip
_CODES = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[12368]|2[2-6][0-9]|29[0179]|35[0-9]|37[0-8]|38[0-35-79]|42[013]|50[0-9]|59[0-9]|67[02-9]|68[0-35-9]|69[0-2]|80[08]|85[02356]|87[08]|88[0-368]|96[0-8]|97[0-79]|99[2-68]"
)
_NOT_A_PHONE = re.compile(
    r"\A[0-9]{5}-[0-9]{4}\Z|\A(?:19|20)[0-9]{2} ?- ?(?:19|20)[0-9]{2}\Z|\A\+?[0-9]*\.[0-9]{5,}\Z"
    r"|\A0[0-9]{3}(?:[ /-][0-9]{4}){1,3}\Z|\A(?:[0-9]{1,3}\.){3}[0-9]"
    r"|[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}|[0-9]{2}[-/.][0-9]{2}[-/.](?:19|20)[0-9]{2}"
)
_VERSION_WORDS = re.compile(
    r"(?i)(?:version|release|build|firmware|v|ver|rev|section|chapter|rfc|==|>=|<=|~=|oid|object|objectidentifier)[ :.=(\"']*\Z"
)

_MOST_DIGITS = max(rule.digits for rule in DIGITS)
_BY_DIGITS = [tuple(rule for rule in DIGITS if rule.digits <= size) for size in range(_MOST_DIGITS + 1)]


def find_identifiers(text: str, kinds: Collection[str] = KINDS) -> list[Span]:
    """Every identifier of these kinds, in order and without overlaps."""
    folded = fold(text)
    content = folded.text
    found: list[Span] = []
    if "email" in kinds and "@" in content:
        found += _emails(content)
    if "ip" in kinds and ":" in content:
        found += _ipv6(content)
    found += _lettered(content, kinds)
    found += _numbers(content, kinds)
    return [folded.back(span) for span in _ranked(found)] if found else []


def _ranked(found: list[Span]) -> list[Span]:
    """Without overlaps; what is checked by digits goes before a telephone number."""
    sure = without_overlaps(span for span in found if span.kind != "phone")
    phones = [
        span
        for span in found
        if span.kind == "phone" and not any(s.begin < span.end and span.begin < s.end for s in sure)
    ]
    return without_overlaps([*sure, *phones])


def _emails(content: str) -> Iterator[Span]:
    at = content.find("@")
    while at >= 0:
        local = _LOCAL.search(content, max(0, at - 64), at)
        domain = _DOMAIN.match(content, at + 1, at + 255)
        if local and domain and is_top_level(domain[1]):
            name = local[0].lstrip(".!#$%&'*/?^~-")
            if name and not _is_no_mailbox(content, name, at - len(name), domain.end()):
                yield Span(at - len(name), domain.end(), "email")
        at = content.find("@", at + 1)


def _is_no_mailbox(content: str, name: str, begin: int, end: int) -> bool:
    """Whether it only looks like an address: a repository, the password in a URL, a product of matrices."""
    after = content[end : end + 1]
    if name.endswith(".") or ".." in name or after == "(" or (name == "git" and after == ":"):
        return True
    if content[begin - 1 : begin] == "}" or re.fullmatch(r"[0-9]+\..*", content[begin + len(name) + 1 : end]):
        return True  # a template, and a version
    before = content[max(0, begin - 80) : begin]
    return before.endswith("://") or (before.endswith(":") and "://" in before)


def _lettered(content: str, kinds: Collection[str]) -> Iterator[Span]:
    """What mixes capitals and digits."""
    past = 0
    for match in _LETTERED.finditer(content):
        if match.start() >= past:
            begin, past = max(0, match.start() - 10), match.start() + 50
            if "iban" in kinds:
                yield from _ibans(content, begin, past)
            yield from _national(content, LETTERS, kinds, begin, past)


def _ibans(content: str, begin: int, end: int) -> Iterator[Span]:
    for match in _IBAN.finditer(content, begin, end + 40):
        plain = ""
        for at, each in enumerate(match[0], match.start() + 1):
            if each != " ":
                plain += each
                if iban(plain) and not content[at : at + 1].isalnum():
                    yield Span(match.start(), at, "iban")
                    break


def _ipv6(content: str) -> Iterator[Span]:
    past = 0
    for mark in _COLONS.finditer(content):
        if mark.start() < past:
            continue
        match = _IPV6.search(content, max(past, mark.start() - 5), mark.start() + 50)
        if match and match.start() <= mark.start():
            past = match.end()
            if _is_ipv6(match[0]):
                yield Span(*match.span(), "ip")


def _is_ipv6(text: str) -> bool:
    if text.endswith("::"):
        return False  # a network, or a list of numbers
    if sum(each in "0123456789abcdefABCDEF" for each in text) < 4 or (text.endswith(":") and not text.endswith("::")):
        return False
    if "::" in text and text.count(":") < 3 and not any(map(str.isdigit, text)):
        return False  # `abc::def`: a name of C++
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)


def _numbers(content: str, kinds: Collection[str]) -> Iterator[Span]:
    """What begins with a digit. The patterns look only at the runs of digits and what joins them."""
    for run in _NUMERIC.finditer(content):
        begin, end = max(0, run.start() - 3), min(len(content), run.end() + 10)
        size = len(run[0]) if run[0].isdigit() else sum(map(str.isdigit, run[0]))
        if "ip" in kinds and run[0].count(".") >= 3:
            yield from _ipv4(content, begin, end)
        if size >= 12 and "card" in kinds:
            yield from _cards(content, begin, end)
        if size >= 9:
            yield from _national(content, _BY_DIGITS[min(size, _MOST_DIGITS)], kinds, begin, end)
        if size >= 7 and "phone" in kinds:
            yield from _phones(content, begin, end)


def _ipv4(content: str, begin: int, end: int) -> Iterator[Span]:
    for match in _IPV4.finditer(content, begin, end):
        parts = match[0].split(".")
        plain = all(int(part) < 256 and (part == "0" or part[0] != "0") for part in parts)
        nobody = parts[0] in {"0", "127"} or parts[1:] == ["0", "0", "0"] or parts[:2] == ["255", "255"]
        if max(map(int, parts)) < 32 and parts[0] != "10" and not _near(_IP_WORDS, content, *match.span()):
            continue  # so are versions and sections numbered
        if plain and not nobody and not _VERSION_WORDS.search(content[max(0, match.start() - 24) : match.start()]):
            yield Span(*match.span(), "ip")


def _cards(content: str, begin: int, end: int) -> Iterator[Span]:
    for match in _CARD.finditer(content, begin, end):
        digits = "".join(filter(str.isdigit, match[0]))
        if not (13 <= len(digits) <= 19 and _BRANDS.fullmatch(digits) and luhn(digits) and len(set(digits)) > 1):
            continue
        grouped = len(digits) < len(match[0]) and not _in_a_row(content, match.start(), match.end())
        if grouped or _near(_CARD_WORDS, content, match.start(), match.end()):
            yield Span(*match.span(), "card")


def _in_a_row(content: str, begin: int, end: int) -> bool:
    """Whether more groups of four stand beside it, as in a table of codes."""
    return bool(_GROUP_BEFORE.search(content, max(0, begin - 6), begin) or _GROUP_AFTER.match(content, end))


def _national(
    content: str, rules: tuple[Rule, ...], kinds: Collection[str], begin: int = 0, end: int | None = None
) -> Iterator[Span]:
    stop = len(content) if end is None else end
    for rule in rules:
        if rule.kind in kinds:
            for match in rule.pattern.finditer(content, begin, stop):
                plain = "".join(filter(str.isalnum, match[0]))
                if rule.holds(plain) and (rule.context is None or _near(rule.context, content, *match.span())):
                    yield Span(*match.span(), rule.kind)


def _phones(content: str, begin: int, end: int) -> Iterator[Span]:
    pattern = _PHONE_LOOSE if _is_called(content, begin + 3) else _PHONE
    for match in pattern.finditer(content, begin, min(len(content), end + 8)):
        if _is_phone(match[0]):
            yield Span(*match.span(), "phone")


def _is_called(content: str, at: int) -> bool:
    """Whether the words just before say that a telephone number follows."""
    before = content[max(0, at - NEAR) : at]
    if before.isascii() and not any(map(before.lower().__contains__, _PHONE_MARKS)):
        return False
    return _PHONE_WORDS.search(content, max(0, at - NEAR), at) is not None


def _is_phone(text: str) -> bool:
    number = re.split("[xe]", text)[0]
    digits = "".join(filter(str.isdigit, number))
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 3 or _NOT_A_PHONE.search(text):
        return False
    if number.startswith("+"):
        return _CODES.match(digits) is not None
    return number.count("(") == number.count(")") and not re.search(r"[0-9] {2}|-{2}|\.\.|[-./] [0-9]", number)


def _near(words: re.Pattern[str], content: str, begin: int, end: int) -> bool:
    """Whether one of the words stands before this stretch, or just behind it, on its line or the one before."""
    return bool(words.search(content, max(0, begin - NEAR), begin) or words.search(content, end, end + 16))
