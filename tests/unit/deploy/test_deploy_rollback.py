from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.core.errors import Refused
from kedge.core.model import AliasMove
from kedge.deploy.rollback import in_force, previous

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def make_history(*steps: int | str) -> list[AliasMove]:
    """Versions promoted one after the other; "back" is a rollback."""
    moves: list[AliasMove] = []
    for step in steps:
        back = isinstance(step, str)
        after = previous(moves, range(100)) if isinstance(step, str) else step
        before = moves[-1].after if moves else None
        moves.append(
            AliasMove(model="m", alias="production", before=before, after=after, at=NOON, by="user:ada", rollback=back)
        )
    return moves


def test_it_returns_to_the_version_before() -> None:
    assert previous(make_history(1, 2), {1, 2}) == 1


def test_two_in_a_row_go_two_steps_back() -> None:
    assert previous(make_history(1, 2, 3, "back"), {1, 2, 3}) == 1


def test_it_never_goes_forth_again() -> None:
    with pytest.raises(Refused, match="no earlier version"):
        previous(make_history(1, 2, "back"), {1, 2})


def test_after_a_rollback_and_a_new_version_it_returns_to_the_good_one() -> None:
    assert previous(make_history(1, 2, "back", 3), {1, 2, 3}) == 1


def test_promoting_an_old_version_again_is_a_step_forward() -> None:
    assert previous(make_history(1, 2, 1), {1, 2}) == 2


def test_the_first_version_has_nothing_before_it() -> None:
    with pytest.raises(Refused, match="no earlier version"):
        previous(make_history(1), {1})


def test_an_alias_never_set_has_nothing_to_return_to() -> None:
    with pytest.raises(Refused, match="never set"):
        previous([], {1})


def test_a_deleted_version_is_not_skipped_silently() -> None:
    with pytest.raises(Refused, match="m@2, was deleted"):
        previous(make_history(1, 2, 3), {1, 3})


@given(st.lists(st.integers(1, 5), min_size=2, max_size=8))
def test_promote_then_rollback_changes_nothing_of_what_led_here(versions: list[int]) -> None:
    history = make_history(*versions)
    if history[-1].moved and len(in_force(history)) > 1:
        assert in_force(make_history(*versions, "back")) == in_force(history)[:-1]
