"""The quick ways of parsing and naming give what the careful ones give."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kedge.core.hashing import row_id
from kedge.data.rows import make_row
from kedge.data.strict import BadLine, _parse_slowly, parse_object

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
LINES = st.dictionaries(TEXTS, VALUES, max_size=5).map(lambda value: json.dumps(value, ensure_ascii=False))


def told(parse: Any, data: bytes) -> Any:
    """What a parser makes of a line, or why it takes it not; `1` and `1.0` and `True` are told apart."""
    try:
        return json.dumps(parse(data), sort_keys=False)
    except BadLine as error:
        return (error.reason, error.detail)


@settings(max_examples=150)
@given(LINES, st.data())
def test_a_line_with_any_change_is_parsed_as_the_careful_parser_does(line: str, data: st.DataObject) -> None:
    raw = bytearray(line.encode())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw)))
        piece = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"a":1,', b'"a" :1,', b"1e9", b"\\ud800", b"NaN", b"[" * 70])
        )
        raw[at : at + data.draw(st.integers(0, 2))] = piece
    assert told(parse_object, bytes(raw)) == told(_parse_slowly, bytes(raw))


@example(b'{"a":1,"a" :2}')
@example(b'{"a":{"b":1,"b":2}}')
@example(b'{"a":"\\":","b":1,"b":1}')
@example(b'{"a":12345678901234567890123}')
@example(b'{"a":' + b"[" * 65 + b"]" * 65 + b"}")
@example(b'{"a":' + b"[1," * 65 + b"1" + b"]" * 65 + b"}")
@example(b'{"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001)
@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_parsed_as_the_careful_parser_does(data: bytes) -> None:
    assert told(parse_object, data) == told(_parse_slowly, data)


@settings(max_examples=150)
@given(TEXTS, TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_row_is_named_by_its_canonical_content(given_: str, wanted: str, tags: dict[str, Any]) -> None:
    row = make_row(input=given_, target=wanted, source="f:1", tags=tags)
    assert row.id == row_id({"input": given_, "target": wanted, "tags": tags}, "f:1")
