"""A text is folded character by character, and every character knows where it was."""

from hypothesis import given
from hypothesis import strategies as st

from kedge.text.spans import fold

TEXTS = st.text(
    alphabet="aé1 \N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{FULLWIDTH LATIN CAPITAL LETTER A}\N{EN DASH}\N{ARABIC-INDIC DIGIT ONE}"
)


@given(TEXTS)
def test_a_text_is_folded_as_its_characters_are(text: str) -> None:
    assert fold(text).text == "".join(fold(character).text for character in text)


@given(TEXTS)
def test_each_place_is_that_of_the_character_it_was_made_from(text: str) -> None:
    folded = fold(text)
    places = range(len(text)) if folded.places is None else folded.places
    assert "".join(fold(text[place]).text for place in places) == folded.text
