"""Lines are split without holding more than the limit."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from kedge.data.lines import split_lines


class Counting(io.BytesIO):
    """A stream that remembers the largest piece it was asked for."""

    largest = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self.largest = max(self.largest, size or 0)
        return super().readline(size)


def test_only_newlines_end_a_line_and_a_return_before_them_goes() -> None:
    lines = list(split_lines(io.BytesIO(b"a\r\nb\rc\x0bd\xe2\x80\xa8e\n\nlast"), 100))
    assert [line.data for line in lines] == [b"a", b"b\rc\x0bd\xe2\x80\xa8e", b"", b"last"]
    assert [(line.number, line.offset) for line in lines] == [(1, 0), (2, 3), (3, 13), (4, 14)]


def test_a_line_over_the_limit_is_passed_over_and_the_next_one_is_read() -> None:
    stream = Counting(b"short\n" + b"x" * 10_000 + b"\nafter\n")
    lines = list(split_lines(stream, 10))
    assert [(line.data, line.size) for line in lines] == [(b"short", 6), (None, 10_001), (b"after", 6)]
    assert stream.largest <= 12


@given(st.lists(st.binary(max_size=12).filter(lambda data: b"\n" not in data)), st.integers(1, 8), st.booleans())
def test_every_byte_belongs_to_one_line(parts: list[bytes], limit: int, ends: bool) -> None:
    data = b"\n".join(parts) + (b"\n" if ends else b"")
    lines = list(split_lines(io.BytesIO(data), limit))
    assert sum(line.size for line in lines) == len(data)
    for line in lines:
        whole = data[line.offset : line.offset + line.size].removesuffix(b"\n").removesuffix(b"\r")
        assert line.data == (whole if len(whole) <= limit else None)
