"""What a text is about."""

from hypothesis import given
from hypothesis import strategies as st

from kedge.text.features import features


def of(text: str) -> set[int]:
    return set(features([text]).values.tolist())


def test_parts_of_a_word_are_found_by_themselves() -> None:
    whole = of("read_nextLine")
    assert of("read") <= whole
    assert of("next") <= whole
    assert of("line") <= whole
    assert not of("readnext") <= whole


def test_case_and_punctuation_do_not_matter() -> None:
    assert of("Hello, World!") == of("hello world")


def test_neighbours_matter() -> None:
    assert of("open the file") != of("file the open")
    assert of("open") < of("open file")


def test_languages_without_blanks_are_found_by_character() -> None:
    assert of("日本") & of("日本語") >= of("日") | of("本")


def test_a_letter_beyond_ascii_does_not_end_a_word() -> None:
    assert len(of("café")) == 4  # the word, its parts `caf` and `é`, and the pair of them


def test_nothing_has_no_features() -> None:
    found = features(["", " .,; ", "a"])
    assert found.lengths.tolist() == [0, 0, 1]


@given(st.lists(st.text(max_size=30), max_size=6))
def test_a_text_has_the_same_features_in_any_company(texts: list[str]) -> None:
    together = features(texts)
    for i, text in enumerate(texts):
        inside = together.values[together.starts[i] : together.starts[i + 1]]
        assert inside.tolist() == features([text]).values.tolist() == sorted(of(text))
