"""Splits a stream into lines without ever holding more than a limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end, numbered from 1. `data` is None when it was longer than the limit."""

    number: int
    offset: int
    size: int
    data: bytes | None


def split_lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    """Every line; only `\\n` ends one, and a `\\r` before it goes. A line over `limit` bytes is passed over, not kept."""
    number = offset = 0
    while data := stream.readline(limit + 2):
        number += 1
        size = len(data)
        rest = data
        while len(rest) == limit + 2 and not rest.endswith(b"\n"):
            rest = stream.readline(limit + 2)
            size += len(rest)
        body = data.removesuffix(b"\n").removesuffix(b"\r")
        whole = size == len(data) and len(body) <= limit
        yield Line(number, offset, size, body if whole else None)
        offset += size
