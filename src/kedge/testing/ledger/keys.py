"""What a ledger must do with API keys."""

from __future__ import annotations

from typing import Any

import pytest

from kedge.core.access import Allowance, Key, Scope, Terms
from kedge.core.errors import Conflict, NotFound
from kedge.core.ledger import Ledger
from kedge.testing.ledger.make import at


def make_key(id: str = "k1", **changes: Any) -> Key:
    """A key that may ask."""
    facts: dict[str, Any] = {"name": "laptop", "hash": f"hash of {id}", "scopes": (Scope.ASK,), "created": at()}
    return Key(id=id, by="user:ada", **{**facts, **changes})


class KeysConformance:
    """Keys by id and by keyed hash."""

    def test_a_key_is_found_by_its_hash(self, ledger: Ledger) -> None:
        key = make_key(scopes=(Scope.ASK, Scope.METRICS), expires=at(3600))
        ledger.keys.add(key)
        assert ledger.keys.find(key.hash) == key
        assert ledger.keys.find("another") is None

    def test_a_taken_id_or_hash_is_a_conflict(self, ledger: Ledger) -> None:
        ledger.keys.add(make_key())
        with pytest.raises(Conflict):
            ledger.keys.add(make_key(hash="new"))
        with pytest.raises(Conflict):
            ledger.keys.add(make_key("k2", hash=make_key().hash))
        assert ledger.keys.all() == [make_key()]

    def test_keys_are_listed_oldest_first(self, ledger: Ledger) -> None:
        for name, seconds in (("k1", 2), ("k2", 1)):
            ledger.keys.add(make_key(name, created=at(seconds)))
        assert [key.id for key in ledger.keys.all()] == ["k2", "k1"]

    def test_a_revoked_key_keeps_the_time_it_ended(self, ledger: Ledger) -> None:
        ledger.keys.add(make_key())
        assert ledger.keys.revoke("k1", at=at(5)).revoked == at(5)
        assert ledger.keys.revoke("k1", at=at(9)).revoked == at(5)
        key = ledger.keys.find(make_key().hash)
        assert key is not None
        assert not key.opens(Scope.ASK, at(10))

    def test_revoking_an_unknown_key_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.keys.revoke("k1", at=at())

    def test_a_key_keeps_its_terms_and_its_account(self, ledger: Ledger) -> None:
        allowance = Allowance(requests_per_minute=3, money=2.5, period="day")
        terms = Terms(tenant="acme", endpoints=("api",), models=("schemas",), allowance=allowance)
        ledger.keys.add(make_key(terms=terms, account="key-before"))
        assert ledger.keys.find(make_key().hash) == make_key(terms=terms, account="key-before")

    def test_a_key_that_expires_ends_at_the_earlier_time(self, ledger: Ledger) -> None:
        ledger.keys.add(make_key())
        assert ledger.keys.expire("k1", at=at(9)).expires == at(9)
        assert ledger.keys.expire("k1", at=at(5)).expires == at(5)
        assert ledger.keys.expire("k1", at=at(7)).expires == at(5)

    def test_expiring_an_unknown_key_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound):
            ledger.keys.expire("k1", at=at())
