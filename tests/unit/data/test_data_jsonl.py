"""JSON Lines become rows, and bad lines rejects with their place."""

from __future__ import annotations

from pathlib import Path

from kedge.core.dataset import Reject, Row
from kedge.data.sources.jsonl import JsonlOptions, read
from kedge.data.types import SourceFile


def read_all(folder: Path, data: bytes, **options: object) -> list[Row | Reject]:
    path = folder / "rows.jsonl"
    path.write_bytes(data)
    return list(read(SourceFile(path=path, label="rows.jsonl"), JsonlOptions(**options)))  # type: ignore[arg-type]  # keys are the test's


def rows(found: list[Row | Reject]) -> list[Row]:
    return [each for each in found if isinstance(each, Row)]


def rejects(found: list[Row | Reject]) -> list[tuple[str, str]]:
    return [(each.reason, each.source) for each in found if isinstance(each, Reject)]


def test_a_row_has_its_place_and_its_other_fields_as_tags(tmp_path: Path) -> None:
    (row,) = rows(read_all(tmp_path, b'{"input": "hi", "target": "ho", "topic": "x", "n": [1]}\n'))
    assert (row.input, row.target, row.source, row.tags) == ("hi", "ho", "rows.jsonl:1", {"topic": "x", "n": [1]})
    assert len(row.id) == 32


def test_the_id_says_what_is_in_the_row_and_where_it_stands(tmp_path: Path) -> None:
    line = b'{"input": "hi", "target": "ho"}\n'
    first, second = rows(read_all(tmp_path, line * 2))
    assert first.id != second.id
    assert rows(read_all(tmp_path, line))[0].id == first.id


def test_known_pairs_of_fields_are_found(tmp_path: Path) -> None:
    data = b'{"prompt": "a", "completion": "b"}\n{"instruction": "c", "output": "d"}\n{"text": "e"}\n'
    assert [(row.input, row.target) for row in rows(read_all(tmp_path, data))] == [("a", "b"), ("c", "d"), ("e", "")]


def test_named_fields_are_taken_and_tags_chosen(tmp_path: Path) -> None:
    data = b'{"q": "a", "a": "b", "x": 1, "y": 2}\n'
    (row,) = rows(read_all(tmp_path, data, input="q", target="a", tags=("y",)))
    assert (row.input, row.target, row.tags) == ("a", "b", {"y": 2})


def test_a_target_that_is_not_text_is_written_as_json(tmp_path: Path) -> None:
    (row,) = rows(read_all(tmp_path, b'{"input": "a", "target": {"name": "f", "args": ["x"]}}\n'))
    assert row.target == '{"name": "f", "args": ["x"]}'


def test_bad_lines_are_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    found = read_all(
        tmp_path,
        b'{"input": "a", "target": "b"}\n\n  \nnonsense\n{"x": 1}\n{"input": 5}\n{"input": "no target"}\n'
        b'{"input": "' + b"y" * 200 + b'", "target": ""}\n{"input": "c", "target": "d"}',
        max_line_bytes=100,
    )
    assert [row.input for row in rows(found)] == ["a", "c"]
    assert rejects(found) == [
        ("json", "rows.jsonl:4"),
        ("missing-input", "rows.jsonl:5"),
        ("type", "rows.jsonl:6"),
        ("missing-target", "rows.jsonl:7"),
        ("too-long", "rows.jsonl:8"),
    ]


def test_a_reject_tells_the_offset_and_shows_the_bytes(tmp_path: Path) -> None:
    (reject,) = read_all(tmp_path, b'\n{"input": "\xff"}\n')
    assert isinstance(reject, Reject)
    assert reject.detail.startswith("byte 1: not UTF-8: invalid start byte at byte 11 of the line")
    assert "\\xff" in reject.detail


def test_a_byte_order_mark_is_taken_off_the_file_and_nowhere_else(tmp_path: Path) -> None:
    line = b'\xef\xbb\xbf{"text": "a"}\n'
    found = read_all(tmp_path, line * 2)
    assert [row.input for row in rows(found)] == ["a"]
    assert rejects(found) == [("bom", "rows.jsonl:2")]


def test_a_file_in_utf_16_is_named_as_such(tmp_path: Path) -> None:
    (reject,) = read_all(tmp_path, '{"text": "a"}\n'.encode("utf-16"))
    assert isinstance(reject, Reject)
    assert "UTF-16" in reject.detail


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert read_all(tmp_path, b"") == []
