"""Tokenizers: every text survives, names are cut the same everywhere, engines see the same tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from kedge.core.errors import Invalid
from kedge.testing.training import make_rows
from kedge.train.tokenizer import train_tokenizer
from kedge.train.types import TokenizerOptions

TEXTS = [text for row in make_rows(40) for text in (row.input, row.target)]


def learned(cut: str) -> Tokenizer:
    options = TokenizerOptions(vocabulary=320, cut="words" if cut == "words" else "pieces")
    return Tokenizer.from_str(train_tokenizer(TEXTS, options)["tokenizer.json"].decode())


TOKENIZERS = {cut: learned(cut) for cut in ("words", "pieces")}


@pytest.mark.parametrize("cut", ["words", "pieces"])
@given(text=st.text())
def test_any_text_comes_back_unchanged(cut: str, text: str) -> None:
    tokenizer = TOKENIZERS[cut]
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_same_texts_give_the_same_bytes() -> None:
    options = TokenizerOptions(vocabulary=320, cut="pieces")
    assert train_tokenizer(TEXTS, options) == train_tokenizer(TEXTS, options)


@pytest.mark.parametrize("name", ["split_3", "getValue_10", "_close", "HTTPServer2"])
def test_a_name_has_the_same_pieces_in_code_and_in_json(name: str) -> None:
    tokenizer = TOKENIZERS["pieces"]
    alone = tokenizer.encode(name).tokens
    for around in (f"def {name}(x):", f"({name}, *{name})", f'{{"name": "{name}"}}'):
        tokens = tokenizer.encode(around).tokens
        assert any(tokens[i : i + len(alone)] == alone for i in range(len(tokens)))


def test_prompt_and_target_are_cut_apart_where_the_line_ends() -> None:
    tokenizer = TOKENIZERS["pieces"]
    prompt, target = "def f(x):\n", '{"name": "f"}'
    assert tokenizer.encode(prompt + target).ids == tokenizer.encode(prompt).ids + tokenizer.encode(target).ids


def test_transformers_loads_it_as_it_is(tokenizer_folder: Path) -> None:
    ours = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(tokenizer_folder)
    for text in [*TEXTS[:6], "  two  spaces\n\tça 🙂"]:
        assert theirs(text)["input_ids"] == ours.encode(text).ids
        assert theirs.decode(ours.encode(text).ids) == text
    assert (theirs.pad_token_id, theirs.eos_token_id) == (0, 1)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(Invalid, match="no text"):
        train_tokenizer([], TokenizerOptions())


def test_a_vocabulary_smaller_than_the_bytes_is_an_error() -> None:
    with pytest.raises(Invalid, match="vocabulary"):
        TokenizerOptions(vocabulary=200)
