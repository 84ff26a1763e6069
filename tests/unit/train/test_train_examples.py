"""Rows as tokens, and the batches they are seen in."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from kedge.core.dataset import Row
from kedge.testing.training import make_rows
from kedge.train.batches import IGNORED, Position, collate, plan_epoch, walk
from kedge.train.examples import Encoder, Examples


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="module")
def examples(tokenizer: Any) -> Examples:
    return Encoder(tokenizer, prompt="{input}\n", max_tokens=64).encode(make_rows(40))


def plain(text: str) -> Row:
    return Row(id="1", input=text, target="", source="a:1")


def test_an_example_is_the_prompt_the_target_and_the_end(tokenizer: Any, examples: Examples) -> None:
    row = make_rows(1)[0]
    whole = examples.tokens[: examples.starts[1]].tolist()
    read = int(examples.prompts[0])
    assert tokenizer.decode(whole[:read]) == row.input + "\n"
    assert tokenizer.decode(whole[read:-1]) == row.target
    assert whole[-1] == tokenizer.eos_token_id


def test_a_pair_that_is_too_long_is_left_out_and_counted(tokenizer: Any) -> None:
    rows = make_rows(3)
    long = Row(id="x", input="def f():" * 50, target="{}", source="a:1")
    found = Encoder(tokenizer, prompt="{input}", max_tokens=64).encode([*rows, long])
    assert (len(found), found.skipped) == (3, 1)


def test_braces_in_a_prompt_and_in_an_input_stay_as_they_are(tokenizer: Any) -> None:
    row = Row(id="x", input="f({})", target="1", source="a:1")
    found = Encoder(tokenizer, prompt="{json}: {input}>", max_tokens=64).encode([row])
    assert tokenizer.decode(found.tokens[: found.prompts[0]]) == "{json}: f({})>"


def test_plain_text_is_learned_whole_in_parts(tokenizer: Any) -> None:
    text = "abc def ghi " * 20
    found = Encoder(tokenizer, prompt="{input}", max_tokens=16).encode([plain(text)])
    assert tokenizer.decode(found.tokens[:-1]) == text
    assert found.lengths.max() == 16
    assert set(found.prompts.tolist()) == {1}


def test_each_example_is_seen_once_an_epoch(examples: Examples) -> None:
    plan = plan_epoch(examples.lengths, batch_tokens=256, seed=0, epoch=0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(40))


def test_no_batch_is_wider_than_its_tokens(examples: Examples) -> None:
    for chosen in plan_epoch(examples.lengths, batch_tokens=256, seed=0, epoch=3):
        assert collate(examples, chosen, next=Position()).inputs.numel() <= 256


def test_epochs_and_seeds_differ_in_order(examples: Examples) -> None:
    first, second, other = (
        np.concatenate(plan_epoch(examples.lengths, batch_tokens=256, seed=seed, epoch=epoch)).tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    )
    assert first != second != other != first


def test_a_walk_from_a_position_goes_on_where_it_was(examples: Examples) -> None:
    whole = list(islice(walk(examples, batch_tokens=256, seed=0, position=Position()), 30))
    again = list(islice(walk(examples, batch_tokens=256, seed=0, position=whole[12].next), 17))
    assert whole[12].next.epoch > 0
    for expected, found in zip(whole[13:], again, strict=True):
        assert found.inputs.equal(expected.inputs)
        assert found.labels.equal(expected.labels)
        assert found.next == expected.next


def test_only_the_target_is_learned(tokenizer: Any, examples: Examples) -> None:
    batch = collate(examples, np.array([0, 7]), next=Position())
    for line, number in enumerate((0, 7)):
        learned = batch.labels[line][batch.labels[line] != IGNORED].tolist()
        assert tokenizer.decode(learned[:-1]) == make_rows(40)[number].target
        assert learned[-1] == tokenizer.eos_token_id


def test_a_label_is_the_token_after_its_input(examples: Examples) -> None:
    batch = collate(examples, np.array([3]), next=Position())
    learned = batch.labels[0] != IGNORED
    numbers = learned.nonzero().flatten()[:-1]  # the last label is the end, which is never an input
    assert batch.labels[0][numbers].equal(batch.inputs[0][numbers + 1])
    assert int(learned.nonzero()[0]) == batch.start
