"""API keys: random, recognisable, and kept only as a keyed hash."""

from __future__ import annotations

import pytest

from kedge.govern.keys import hash_key, looks_like_key, mint_key


def test_keys_differ_and_look_like_keys() -> None:
    minted = {mint_key() for _ in range(1000)}
    assert len(minted) == 1000
    assert all(looks_like_key(key) and len(key) == 47 for key in minted)


@pytest.mark.parametrize(
    "text", ["", "kdg_", "kdg_" + "x" * 42, "kdg_" + "x" * 44, "sk-" + "x" * 44, "kdg_" + "é" * 43]
)
def test_what_is_no_key_does_not_look_like_one(text: str) -> None:
    assert not looks_like_key(text)


def test_a_hash_says_nothing_of_the_key_and_needs_the_projects_secret() -> None:
    key = mint_key()
    assert hash_key(key, b"a") == hash_key(key, b"a") != hash_key(key, b"b")
    assert key not in hash_key(key, b"a")
    assert hash_key(key, b"a") != hash_key(mint_key(), b"a")
