"""Tokens become text piece by piece."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kedge.serve.decoding.pieces import Characters, Pieces, StopStrings


def decode(tokens: list[int]) -> str:
    """Each token is one byte."""
    return bytes(tokens).decode("utf-8", errors="replace")


def push_all(pieces: Pieces | Characters, data: bytes) -> list[str]:
    return [*(pieces.push(byte) for byte in data), pieces.flush()]


@given(st.text(max_size=40))
def test_pieces_join_to_the_text_and_hold_no_half_character(text: str) -> None:
    said = push_all(Characters(decode), text.encode())
    assert "".join(said) == text
    assert all("\ufffd" not in piece for piece in said) or "\ufffd" in text


@given(st.binary(max_size=60))
def test_broken_bytes_come_out_as_they_decode(data: bytes) -> None:
    assert "".join(push_all(Characters(decode), data)) == decode(list(data))


def test_a_character_of_four_tokens_comes_out_whole() -> None:
    assert push_all(Characters(decode), "a🙂b".encode()) == ["a", "", "", "", "🙂", "b", ""]


def test_an_answer_that_ends_inside_a_character_says_so_at_the_end() -> None:
    assert push_all(Characters(decode), "é".encode()[:1]) == ["", "\ufffd"]


def test_a_long_run_of_broken_bytes_is_not_held_for_ever() -> None:
    characters = Characters(decode)
    said = [characters.push(0xFF) for _ in range(1000)]
    assert sum(len(piece) for piece in said) > 900


@given(st.text("abx", max_size=20), st.lists(st.text("abx", min_size=1, max_size=4), max_size=3), st.data())
def test_the_earliest_stop_string_is_cut_wherever_pieces_part(text: str, stops: list[str], data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(sorted))
    edges = [0, *parts, len(text)]
    cutter = StopStrings(stops)
    said = ""
    for start, end in itertools.pairwise(edges):
        if not cutter.met:
            said += cutter.push(text[start:end])
    said += cutter.flush()
    met = [text.find(stop) for stop in stops if stop in text]
    assert cutter.met is bool(met)
    if met:
        assert said == text[: len(said)]
        assert not any(stop in said for stop in stops)
        assert any(text.startswith(stop, len(said)) for stop in stops)
    else:
        assert said == text


def test_text_that_cannot_become_a_stop_string_is_not_held_back() -> None:
    cutter = StopStrings(["\n\n"])
    assert [cutter.push("a\n"), cutter.push("b"), cutter.push("c")] == ["a", "\nb", "c"]


def test_a_stop_string_across_tokens_and_characters_is_cut() -> None:
    pieces = Pieces(decode, ["🙂!"])
    said = ""
    for byte in "hello 🙂!ignored".encode():
        said += pieces.push(byte)
        if pieces.stopped:
            break
    assert said + pieces.flush() == "hello "
