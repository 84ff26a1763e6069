from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.errors import Broken
from kedge.govern.signing import Signer, key_id, new_key, verify

PEM = new_key()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(JSON)
def test_what_was_signed_verifies_with_the_public_half(value: object) -> None:
    signer = Signer(PEM)

    assert verify(value, signer.sign(value), signer.public)


@given(JSON, JSON)
def test_another_value_does_not(value: object, other: object) -> None:
    signer = Signer(PEM)

    assert signer.verify(other, signer.sign(value)) == (
        repr(other) == repr(value) or signer.sign(other) == signer.sign(value)
    )


def test_another_key_does_not() -> None:
    assert not Signer(new_key()).verify({"a": 1}, Signer(PEM).sign({"a": 1}))


def test_the_order_of_keys_does_not_matter() -> None:
    assert Signer(PEM).verify({"b": 2, "a": 1}, Signer(PEM).sign({"a": 1, "b": 2}))


@pytest.mark.parametrize("signature", ["", "ed25519:", "ed25519:0000000000000000:" + "A" * 86, "x" * 200])
def test_a_malformed_signature_does_not_verify(signature: str) -> None:
    assert not Signer(PEM).verify({"a": 1}, signature)


def test_a_damaged_signature_does_not_verify() -> None:
    signer = Signer(PEM)
    good = signer.sign("value")
    damaged = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]

    assert not signer.verify("value", damaged)


def test_a_key_file_with_other_bytes_is_broken() -> None:
    with pytest.raises(Broken, match="cannot be read"):
        Signer(b"not a key")


def test_a_key_is_named_by_its_public_half() -> None:
    assert key_id(Signer(PEM).public) in Signer(PEM).sign(1)
