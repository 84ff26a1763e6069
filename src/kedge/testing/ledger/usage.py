"""What a ledger must do with what accounts use."""

from __future__ import annotations

import threading
from typing import Any

from kedge.core.ledger import Ledger
from kedge.core.usage import Holding, Used, Want
from kedge.testing.ledger.make import at


def make_want(account: str = "key-1/tokens", **changes: Any) -> Want:
    """Ten units wanted of a hundred."""
    return Want(account=account, **{"window": "2026-01", "least": 10, "most": 10, "limit": 100, **changes})


def make_holding(holder: str, places: int, **changes: Any) -> Holding:
    """Places of three, held for ten seconds."""
    return Holding(account="key-1", holder=holder, places=places, **{"limit": 3, "until": at(10), **changes})


class UsageConformance:
    """Units by window, and places at a moment."""

    def test_units_are_taken_until_the_limit(self, ledger: Ledger) -> None:
        first, second = (ledger.usage.reserve([make_want(most=60)])[0] for _ in range(2))
        assert (first.units, first.left) == (60, 40)
        assert (second.units, second.left) == (40, 0)
        third = ledger.usage.reserve([make_want()])[0]
        assert (third.units, third.left) == (0, 0)

    def test_when_one_account_is_short_nothing_is_taken(self, ledger: Ledger) -> None:
        wants = [make_want("b"), make_want("a", limit=5)]
        assert [(granted.units, granted.left) for granted in ledger.usage.reserve(wants)] == [(0, 100), (0, 5)]
        assert not any(used.units for used in ledger.usage.used())

    def test_a_new_window_begins_with_nothing_taken(self, ledger: Ledger) -> None:
        ledger.usage.reserve([make_want(most=100)])
        assert ledger.usage.reserve([make_want(window="2026-02")])[0].units == 10

    def test_windows_that_are_to_be_forgotten_are_dropped(self, ledger: Ledger) -> None:
        for month in ("2026-01", "2026-02", "2026-03"):
            ledger.usage.reserve([make_want(window=month, forget="2026-02")])
        assert [used.window for used in ledger.usage.used("key-1/tokens")] == ["2026-02", "2026-03"]

    def test_what_is_given_back_can_be_taken_again(self, ledger: Ledger) -> None:
        ledger.usage.reserve([make_want(most=100)])
        ledger.usage.give_back("key-1/tokens", "2026-01", 30)
        assert ledger.usage.used() == [Used(account="key-1/tokens", window="2026-01", units=70)]
        assert ledger.usage.reserve([make_want(most=100)])[0].units == 30

    def test_threads_together_never_take_more_than_the_limit(self, ledger: Ledger) -> None:
        taken: list[int] = []

        def take() -> None:
            taken.extend(ledger.usage.reserve([make_want(least=7, most=7)])[0].units for _ in range(10))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 98

    def test_places_are_held_until_the_limit(self, ledger: Ledger) -> None:
        assert ledger.usage.hold(make_holding("a", 2), at=at())
        assert not ledger.usage.hold(make_holding("b", 2), at=at())
        assert ledger.usage.hold(make_holding("b", 1), at=at())
        assert not ledger.usage.hold(make_holding("b", 2), at=at())

    def test_places_are_free_again_when_they_are_let_go_or_run_out(self, ledger: Ledger) -> None:
        assert ledger.usage.hold(make_holding("a", 3), at=at())
        assert not ledger.usage.hold(make_holding("b", 3, until=at(30)), at=at(9))
        assert ledger.usage.hold(make_holding("b", 3, until=at(30)), at=at(10))
        assert ledger.usage.hold(make_holding("b", 0), at=at(11))
        assert ledger.usage.hold(make_holding("a", 3), at=at(11))
