"""What readers of JSON disagree about is refused, with the reason."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.data.strict import BadLine, parse_object

BAD = {
    "not closed": (b'{"a": 1', "json"),
    "two values": (b'{"a": 1} {"a": 2}', "json"),
    "trailing comma": (b'{"a": 1,}', "json"),
    "single quotes": (b"{'a': 1}", "json"),
    "control character": (b'{"a": "\x01"}', "json"),
    "empty": (b"", "json"),
    "an array": (b"[1]", "not-an-object"),
    "a text": (b'"a"', "not-an-object"),
    "a number": (b"1", "not-an-object"),
    "null": (b"null", "not-an-object"),
    "duplicate keys": (b'{"a": 1, "a": 1}', "duplicate-key"),
    "duplicate keys inside": (b'{"a": [{"b": 1, "b": 2}]}', "duplicate-key"),
    "NaN": (b'{"a": NaN}', "number:nan"),
    "minus infinity": (b'{"a": -Infinity}', "number:nan"),
    "beyond a double": (b'{"a": 1e400}', "number:float"),
    "30 digits": (b'{"a": 123456789012345678901234567890}', "number:integer"),
    "2**63": (b'{"a": 9223372036854775808}', "number:integer"),
    "a million digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "number:integer"),
    "bad UTF-8": (b'{"a": "\xff"}', "encoding"),
    "an encoded surrogate": (b'{"a": "\xed\xa0\x80"}', "encoding"),
    "a lone surrogate": (b'{"a": "\\ud800"}', "surrogate"),
    "a lone surrogate in a key": (b'{"\\udfff": 1}', "surrogate"),
    "a lone surrogate inside": (b'{"a": [{"b": "\\ud800x"}]}', "surrogate"),
    "NUL": (b'{"a": "\\u0000"}', "nul"),
    "raw NUL": (b'{"a": "\0"}', "nul"),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "bom"),
    "65 deep": (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "depth"),
    "200,000 deep": (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "depth"),
    "200,000 deep and not closed": (b'{"a":' * 200_000, "depth"),
}


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=list(BAD))
def test_a_bad_line_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadLine) as refused:
        parse_object(data)
    assert refused.value.reason == reason
    assert len(refused.value.detail) < 200


def test_what_is_right_is_taken_as_it_is() -> None:
    data = b'{"a": "\\ud83d\\ude00 \xc3\xa9", "n": [1, -9223372036854775808, 0.5, 1e3, true, null], "d": {"x": {}}}'
    assert parse_object(data) == {
        "a": "\N{GRINNING FACE} é",
        "n": [1, -(2**63), 0.5, 1000.0, True, None],
        "d": {"x": {}},
    }


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(parse_object(b'{"a": [' + b"[]," * 500 + b"[]]}")["a"]) == 501


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text("abc", max_size=3), VALUES, max_size=4))
def test_what_json_writes_is_read_back(value: dict[str, object]) -> None:
    written = json.dumps(value)
    if "\\u0000" in written:
        return
    assert parse_object(written.encode()) == value


@given(st.binary(max_size=40))
def test_no_bytes_do_worse_than_a_bad_line(data: bytes) -> None:
    with suppress(BadLine):
        assert isinstance(parse_object(data), dict)
