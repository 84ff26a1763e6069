"""Reads one line of JSON as every reader would, or says why not.

What readers disagree about is refused: duplicate keys, NaN, integers beyond 64 bits, lone surrogates, deep nesting.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from kedge.text.unicode import has_lone_surrogate

MAX_DEPTH = 64

_KEY = re.compile(rb'"\s*:')  # stands behind every key, and perhaps in a text: then it is parsed slowly
_QUICK = msgspec.json.Decoder()
BOM = "\ufeff"


class BadLine(ValueError):
    """Why a line cannot be taken: a short reason that is counted, and what exactly was wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse_object(data: bytes) -> dict[str, Any]:
    """The object a line holds. `BadLine`."""
    # escapes may hide what no encoding can write, and what is nested a lot may be too deep
    if b"\\u" not in data and data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        try:
            value = _QUICK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _parse_slowly(data)
        if isinstance(value, dict) and len(_KEY.findall(data)) == _keys(value):
            return value
    return _parse_slowly(data)


def _keys(value: Any) -> int:
    """How many keys there are in all objects of a value; -1 or less if it holds a number beyond 64 bits."""
    count = len(value) if isinstance(value, dict) else 0
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            count += _keys(inner)
        elif isinstance(inner, int) and not -(1 << 63) <= inner < 1 << 63:
            return -(1 << 40)
    return count


def _parse_slowly(data: bytes) -> dict[str, Any]:
    """`parse_object` for a line in which something may be wrong, or that only looks so."""
    text = decode_line(data)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise BadLine("depth", f"nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise BadLine("json", f"{error.msg} at column {error.colno}") from None
    if not isinstance(value, dict):
        raise BadLine("not-an-object", f"a line must be a JSON object, this is {_kind(value)}")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise BadLine("depth", f"nested deeper than {MAX_DEPTH}")
    if b"\\u" in data:
        _check_texts(value)
    return value


def decode_line(data: bytes) -> str:
    """The text of a line in UTF-8. `BadLine`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLine("encoding", f"not UTF-8: {error.reason} at byte {error.start} of the line") from None
    if text.startswith(BOM):
        raise BadLine("bom", "a byte order mark in the middle of a file: were files joined?")
    if "\0" in text:
        raise BadLine("nul", f"a NUL character at column {text.index(chr(0)) + 1}")
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadLine("duplicate-key", f"{twice[:80]!r} stands twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= int(digits) < 1 << 63:
        raise BadLine("number:integer", f"an integer of {len(digits)} characters does not fit into 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise BadLine("number:float", f"{digits[:40]} is beyond what a number can hold")
    return value


def _constant(word: str) -> float:
    raise BadLine("number:nan", f"{word} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant)


def _check_texts(value: Any) -> None:
    for text in _texts(value):
        if "\0" in text:
            raise BadLine("nul", "a NUL character in a text")
        if has_lone_surrogate(text):
            raise BadLine("surrogate", "half of a surrogate pair: no encoding can write it")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, keys included."""
    rest = [value]
    while rest:
        here = rest.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict):
            rest.extend(here)
            rest.extend(here.values())
        elif isinstance(here, list):
            rest.extend(here)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for here in level
            for inner in (here.values() if isinstance(here, dict) else here)
            if isinstance(inner, dict | list)
        ]
    return depth


def _kind(value: Any) -> str:
    kinds = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
