"""Machine code counts and signs as plain Python does."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from kedge.data.columns import string_buffers
from kedge.text.compiled.columns import COUNTS
from kedge.text.compiled.quality import count_batch
from kedge.text.compiled.shingles import character_shingles, character_signatures, similarities, word_shingles
from kedge.text.compiled.tables import ALNUM, LETTER, LIMIT, PUNCTUATION, SPACE, SPELLED, WORD, load_tables
from kedge.text.minhash import signatures
from kedge.text.shingles import jaccard, shingle_sets, shingles

TEXTS = st.lists(st.text(alphabet="abé\N{GRINNING FACE} ", max_size=20), min_size=1, max_size=8)
LINES = st.text(alphabet="ab \n", max_size=40)
WORDS = st.lists(st.sampled_from(["one", "two", "three"]), min_size=10, max_size=60)


def counts_of(text: str) -> dict[str, int]:
    row = count_batch(*string_buffers(pa.array([text], pa.string())))[0]
    return dict(zip(COUNTS, row.tolist(), strict=True))


def again(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts were there before, and their characters."""
    found = [part for at, part in enumerate(parts) if part in parts[:at]]
    return len(found), sum(map(len, found))


@given(LINES)
def test_paragraphs_that_were_there_before_are_counted(text: str) -> None:
    parts, counts = re.split(r"\n{2,}", text.strip()), counts_of(text)
    assert counts["paragraphs"] == len(parts)
    assert (counts["dup_paragraphs"], counts["dup_paragraph_chars"]) == again(parts)


@given(LINES)
def test_runs_of_lines_that_were_there_before_are_counted(text: str) -> None:
    parts, counts = re.split(r"\n+", text), counts_of(text)
    assert counts["runs"] == len(parts)
    assert (counts["dup_runs"], counts["dup_run_chars"]) == again(parts)


@given(LINES)
def test_lines_that_were_there_before_are_counted(text: str) -> None:
    lines, counts = [line for line in text.split("\n") if line.strip()], counts_of(text)
    assert (counts["full_lines"], counts["dup_line_chars"]) == (len(lines), again(lines)[1])


@given(WORDS)
def test_the_first_of_the_most_frequent_runs_of_words_is_counted(words: list[str]) -> None:
    counts = counts_of(" ".join(words))
    for n in (2, 3, 4):
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        gram, often = grams.most_common(1)[0]
        assert counts[f"top_{n}"] == often * len(gram)


@given(WORDS)
def test_runs_of_words_that_were_there_before_are_counted_without_overlap(words: list[str]) -> None:
    counts = counts_of(" ".join(words))
    for n in range(5, 11):
        seen: set[str] = set()
        at = chars = 0
        while at + n <= len(words):
            gram = "".join(words[at : at + n])
            chars += len(gram) * (gram in seen)
            at += n if gram in seen else 1
            seen.add(gram)
        assert counts[f"dup_{n}"] == chars


@given(TEXTS, st.integers(1, 6))
def test_runs_of_characters_are_signed_as_without_machine_code(texts: list[str], width: int) -> None:
    found = character_signatures(*string_buffers(pa.array(texts, pa.string())), width, 16)
    assert (found == signatures(shingles(texts, width), 16)).all()


@given(TEXTS, st.integers(1, 6))
def test_runs_of_characters_are_compared_as_without_machine_code(texts: list[str], width: int) -> None:
    left, right = np.divmod(np.arange(len(texts) ** 2), len(texts))
    sets = character_shingles(*string_buffers(pa.array(texts, pa.string())), width)
    assert (similarities(sets, left, right) == jaccard(shingle_sets(texts, width), left, right)).all()


def test_every_character_is_in_the_classes_that_python_says() -> None:
    tables, word = load_tables(), re.compile(r"\w")
    for code in range(LIMIT):
        character, kind = chr(code), int(tables.kind[code])
        assert bool(kind & SPACE) == character.isspace()
        assert bool(kind & LETTER) == character.isalpha()
        assert bool(kind & ALNUM) == character.isalnum()
        assert bool(kind & WORD) == bool(word.match(character))
        assert bool(kind & PUNCTUATION) == unicodedata.category(character).startswith("P")
        assert bool(kind & SPELLED) == (character.isalnum() or unicodedata.category(character).startswith("M"))


def test_a_word_is_the_same_in_small_letters_and_capitals_of_every_character() -> None:
    words = [character for code in range(LIMIT) if (character := chr(code)).isalnum()]
    column = [shape(word) for shape in (str, str.upper, str.lower, str.title, str.casefold) for word in words]
    found = word_shingles(*string_buffers(pa.array(column, pa.string())), 1)
    assert (found.lengths == 1).all()
    assert (found.values.reshape(5, -1) == found.values[: len(words)]).all()
    assert len(np.unique(found.values)) == len({word.upper().casefold() for word in words})
