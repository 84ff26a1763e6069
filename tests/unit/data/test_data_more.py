"""More rows, more columns, and what a model will make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from kedge.core.errors import Invalid
from kedge.data.augment import augment, family, noise, synonyms
from kedge.data.features import feature_stage, open_features
from kedge.data.keyed import to_batch
from kedge.data.packing import measure_packing
from kedge.testing.data import make_rows

TEXT = "The quick brown fox jumps over the lazy dog and runs away into the deep forest."


def test_made_rows_name_their_generator_and_parent() -> None:
    (row,) = make_rows(TEXT, target="t", kind="a")
    original, *made = augment([row], "noise", noise(0.2, seed=3), copies=3)
    assert original.tags == {"kind": "a", "parent": row.id}
    assert len({each.id for each in (row, *made)}) == 4
    assert all(each.tags == {"kind": "a", "parent": row.id, "generator": "noise"} for each in made)
    assert all(each.input != TEXT and each.target == "t" for each in made)


def test_noise_is_the_same_for_the_same_seed_and_none_for_no_share() -> None:
    assert noise(0.1, seed=1)(TEXT) == noise(0.1, seed=1)(TEXT) != noise(0.1, seed=2)(TEXT)
    assert noise(0.0)(TEXT) == TEXT


def test_synonyms_keep_capitals_and_leave_other_words() -> None:
    assert synonyms({"the": ["a"], "dog": ["hound"]}, 1.0)("The dog. Dogma.") == "A hound. Dogma."


def test_a_text_that_says_nothing_else_makes_no_row() -> None:
    row = make_rows("the quick brown fox")[0]
    said = ["the quick brown fox", "", "a fast fox", "a fast fox"]
    original, *made = family(row, "model", said, {"seed": 3})
    assert original.tags == {"parent": row.id}
    assert [each.input for each in made] == ["a fast fox"]
    assert made[0].tags == {"generator": "model", "generator_settings": {"seed": 3}, "parent": row.id}


def shouts(texts: Sequence[str]) -> list[float]:
    return [float(text.count("!")) for text in texts]


def first_words(texts: Sequence[str]) -> list[str]:
    return [text.partition(" ")[0] for text in texts]


def test_features_of_users_become_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    module = Path(__file__).stem
    stage = feature_stage({"shouts": f"{module}:shouts", "first": f"{module}:first_words"})
    batch = open_features(stage.options)(to_batch(make_rows("hey! you!", "no"))).batch
    assert batch.column("shouts").to_pylist() == [2.0, 0.0]
    assert batch.column("first").to_pylist() == ["hey!", "no"]
    assert stage.code == (module,)
    empty = open_features(stage.options)(to_batch([])).batch
    assert empty.schema.field("first") == batch.schema.field("first")


def test_a_feature_may_not_take_the_name_of_a_column() -> None:
    with pytest.raises(Invalid, match="input"):
        feature_stage({"input": "m:f"})


def test_packing_is_told_before_training(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    found = measure_packing(make_rows("a a a", "a", "a a", "a " * 20), tmp_path / "tokenizer.json", 8)
    assert (found.rows, found.tokens, found.cut, found.packed) == (4, 4 + 2 + 3 + 21, 1, 3)
    assert found.padding == pytest.approx(1 - 17 / 32)
    assert found.packed_padding == pytest.approx(1 - 17 / 24)
    (tmp_path / "not.json").write_text("{")
