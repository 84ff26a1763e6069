"""Tells addresses on the web and of mail, as machine code."""

from __future__ import annotations

from kedge.text.compiled.jit import inner
from kedge.text.compiled.tables import DIGIT, HOST, LOWER, WORD, Text


@inner
def is_address(text: Text, begin: int, end: int) -> bool:
    """Whether a stretch is an address on the web or of mail, with or without a scheme: it ends as one."""
    dotted = False
    for at in range(begin + 1, end - 1):
        dotted |= text[0, at] == 46
    if not dotted:
        return False
    if _is_host(text, begin, end):
        return True
    plain = True  # so far only what a scheme may hold
    for at in range(begin, end - 3):
        scheme = text[0, at] == 58 and text[0, at + 1] == 47 and text[0, at + 2] == 47 and plain and at >= begin + 2
        if scheme and _is_host(text, at + 3, end):
            return True
        plain = plain and bool(text[1, at] & WORD or text[0, at] in (43, 45, 46))
        if text[0, at] == 64 and at > begin and _is_host(text, at + 1, end):
            return True
    return False


@inner
def _is_host(text: Text, begin: int, end: int) -> bool:
    """Whether a host begins here, and with a port and a path behind it reaches to the end."""
    stop = begin
    while stop < end and (text[1, stop] & (HOST | LOWER) or text[0, stop] in (95, 45, 46)):
        stop += 1
    if not _is_rest(text, stop, end):
        return False
    dot = stop - 1
    while dot > begin and text[0, dot] != 46:
        dot -= 1
    if dot <= begin:
        return False
    size = stop - dot - 1
    named = 2 <= size <= 63
    for at in range(dot + 1, stop):
        named = named and bool(text[1, at] & LOWER)
    first = begin
    for at in range(begin, dot + 1):
        if text[0, at] == 46:
            sound = 1 <= at - first <= 64 and bool(text[1, first] & HOST) and bool(text[1, at - 1] & HOST)
            named = named and sound
            first = at + 1
        elif not (text[1, at] & HOST or text[0, at] in (95, 45)):
            named = False
    return named or _is_public(text, begin, stop)


@inner
def _is_rest(text: Text, stop: int, end: int) -> bool:
    """Whether nothing, a port or a path follows a host."""
    if stop < end and text[0, stop] == 58:
        digits = stop + 1
        while digits < end and text[1, digits] & DIGIT:
            digits += 1
        if not 2 <= digits - stop - 1 <= 5:
            return False
        stop = digits
    return stop == end or text[0, stop] in (47, 63, 35)


@inner
def _is_public(text: Text, begin: int, end: int) -> bool:
    """Whether a stretch is an IPv4 address that anybody may reach."""
    whole, number, part, first = 0, 0, 0, begin  # the parts before this one as one number, and this one
    for at in range(begin, end + 1):
        if at == end or text[0, at] == 46:
            if not 1 <= at - first <= 3 or part > 3 or number > (223, 255, 255, 254)[part]:
                return False
            if part in (0, 3) and text[0, first] == 48:
                return False
            if part in (1, 2) and at - first == 3 and text[0, first] == 48:
                return False
            whole, number, part, first = whole * 256 + number, 0, part + 1, at + 1
        elif text[1, at] & DIGIT and part < 4 and at - first < 3:
            number = number * 10 + int(text[0, at]) - 48
        else:
            return False
    return part == 4 and not _is_private(whole >> 24, whole >> 16 & 255)


@inner
def _is_private(first: int, second: int) -> bool:
    """Whether IPv4 addresses that begin so are for use inside a network."""
    if first in (10, 127) or (first == 169 and second == 254) or (first == 192 and second == 168):
        return True
    return first == 172 and 16 <= second <= 31
