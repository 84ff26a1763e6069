"""One spelling for one text."""

from hypothesis import given
from hypothesis import strategies as st

from kedge.text.unicode import has_lone_surrogate, tidy


def test_line_ends_and_trailing_blanks_are_made_one() -> None:
    assert tidy("\n\na  \r\nb\t\rc \n\n") == "a\nb\nc"


def test_blanks_that_begin_a_line_stay() -> None:
    assert tidy("if x:\n    y") == "if x:\n    y"


def test_composed_and_decomposed_letters_become_one() -> None:
    assert tidy("cafe\u0301") == tidy("caf\u00e9") == "caf\u00e9"
    assert tidy("\N{LATIN SMALL LIGATURE FI}") == "\N{LATIN SMALL LIGATURE FI}"
    assert tidy("\N{LATIN SMALL LIGATURE FI}", form="NFKC") == "fi"
    assert tidy("cafe\u0301", form="none") == "cafe\u0301"


@given(st.text())
def test_tidying_twice_is_tidying_once(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


def test_a_lone_surrogate_is_seen() -> None:
    assert has_lone_surrogate("a\ud800b")
    assert not has_lone_surrogate("a\N{GRINNING FACE}b")
