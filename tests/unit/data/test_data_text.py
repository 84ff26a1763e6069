"""Plain text becomes rows to be continued."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

from hypothesis import given
from hypothesis import strategies as st

from kedge.core.dataset import Reject, Row
from kedge.data.sources.text import TextOptions, read
from kedge.data.types import SourceFile


def read_all(folder: Path, data: bytes, **options: object) -> list[tuple[str, str]]:
    path = folder / "a.txt"
    path.write_bytes(data)
    found = read(SourceFile(path=path, label="a.txt"), TextOptions(**options))  # type: ignore[arg-type]  # keys are the test's
    return [(each.source, each.input if isinstance(each, Row) else each.reason) for each in found]


def test_a_row_is_a_paragraph_named_by_its_first_line(tmp_path: Path) -> None:
    assert read_all(tmp_path, b"\none\ntwo\n\n\nthree\n") == [("a.txt:2", "one\ntwo"), ("a.txt:6", "three")]


def test_a_row_may_be_a_line_or_a_file(tmp_path: Path) -> None:
    assert read_all(tmp_path, b"one\n\ntwo", unit="line") == [("a.txt:1", "one"), ("a.txt:3", "two")]
    assert read_all(tmp_path, b"one\n\ntwo", unit="file") == [("a.txt:1", "one\n\ntwo")]


def test_what_is_too_long_goes_on_in_the_next_row(tmp_path: Path) -> None:
    assert read_all(tmp_path, b"abcdefgh\nij\nkl", max_chars=3) == [
        ("a.txt:1", "abc"),
        ("a.txt:1", "def"),
        ("a.txt:1", "gh"),
        ("a.txt:2", "ij"),
        ("a.txt:3", "kl"),
    ]


def test_a_line_that_is_not_text_is_rejected(tmp_path: Path) -> None:
    assert read_all(tmp_path, b"good\n\xff\xfe\n\nmore\nwith\0nul\n") == [
        ("a.txt:2", "encoding"),
        ("a.txt:1", "good"),
        ("a.txt:5", "nul"),
        ("a.txt:4", "more"),
    ]


@given(st.lists(st.text("ab ", max_size=9)), st.integers(1, 6))
def test_no_row_is_over_the_limit_and_no_letter_is_lost(lines: list[str], limit: int) -> None:
    with NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_text("\n".join(lines))
        found = list(read(SourceFile(path=path, label="x"), TextOptions(max_chars=limit)))
    assert not any(isinstance(each, Reject) for each in found)
    texts = [each.input for each in found if isinstance(each, Row)]
    assert all(len(text) <= limit for text in texts)
    assert "".join(texts).replace("\n", "").replace(" ", "") == "".join(lines).replace(" ", "")
