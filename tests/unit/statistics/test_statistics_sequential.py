"""Evidence that holds however often one looks: seldom wrong about equals, quick about the worse, and kept as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from kedge.core.errors import Invalid
from kedge.core.release import Role
from kedge.statistics.sequential import Band, Difference

LEVEL = 20.0  # one over alpha


def watch(
    random: Generator, answers: int, canary: float, stable: float, *, share: float = 0.3, **options: float
) -> tuple[Difference, int]:
    """A canary watched after every answer until it is withdrawn; how many answers it gave by then (0 for never)."""
    watched, given = Difference(**options), 0  # type: ignore[arg-type]  # one table of numbers
    for drawn, chance in random.random((answers, 2)):
        role = Role.CANARY if drawn < share else Role.STABLE
        given += role is Role.CANARY
        watched.update(role, float(chance < (canary if role is Role.CANARY else stable)))
        if watched.worse.value >= LEVEL:
            return watched, given
    return watched, 0


def test_equals_are_seldom_told_apart_with_a_look_after_every_answer() -> None:
    random = np.random.default_rng(1)

    withdrawn = sum(watch(random, 400, 0.8, 0.8)[1] > 0 for _ in range(100))

    assert withdrawn <= 7


def test_a_canary_at_the_border_of_what_is_tolerated_is_seldom_withdrawn() -> None:
    random = np.random.default_rng(2)

    withdrawn = sum(watch(random, 400, 0.75, 0.8, tolerance=0.05)[1] > 0 for _ in range(100))

    assert withdrawn <= 7


def test_a_canary_that_is_worse_by_ten_points_is_withdrawn_about_as_soon_as_a_fixed_test_would() -> None:
    random = np.random.default_rng(3)

    given = [watch(random, 4000, 0.7, 0.8)[1] for _ in range(40)]

    assert all(given)
    assert float(np.median(given)) < 300


def test_a_canary_that_is_as_good_is_found_fine_within_a_margin() -> None:
    watched, _ = watch(np.random.default_rng(4), 6000, 0.8, 0.8, margin=0.08)

    assert watched.evidence.fine >= LEVEL
    assert watched.evidence.p_fine <= 0.05


def test_more_errors_are_worse_and_the_difference_is_told_in_errors() -> None:
    watched = Difference(lower=True)
    random = np.random.default_rng(5)
    for _ in range(1500):
        watched.update(Role.CANARY, float(random.random() < 0.1))
        watched.update(Role.STABLE, float(random.random() < 0.01))

    found = watched.evidence

    assert found.worse >= LEVEL
    assert found.difference.low < 0.09 < found.difference.high
    assert found.difference.low > 0.0
    assert found.canary == 1500
    assert found.mean_canary == pytest.approx(0.1, abs=0.03)


def test_a_cost_with_bounds_is_told_in_its_own_unit() -> None:
    watched = Difference(low=0.0, high=10.0, lower=True, tolerance=0.5)
    for _ in range(400):
        watched.update(Role.CANARY, 6.0)
        watched.update(Role.STABLE, 3.0)

    assert watched.evidence.worse >= LEVEL
    assert watched.interval.value == pytest.approx(3.0)
    assert watched.interval.low > 0.5


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_confidence_sequence_holds_the_truth_at_every_moment(share: float) -> None:
    random, missed = np.random.default_rng(6), 0
    for _ in range(40):
        watched, _ = watch(random, 300, 0.7, 0.8, share=share)
        missed += not watched.interval.low <= -0.1 <= watched.interval.high

    assert missed <= 5


def test_a_band_narrows_and_never_widens() -> None:
    band, widths = Band(alpha=0.05), []
    for value in np.random.default_rng(7).uniform(0.4, 0.6, 500):
        band.add(float(value))
        widths.append(band.high - band.low)

    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.1
    assert band.low < 0.5 < band.high


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.0, 0.3), st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.lists(st.booleans(), min_size=4, max_size=7)
)
def test_one_block_of_bits_is_a_fair_or_losing_bet_for_every_canary_that_is_no_worse(
    tolerance: float, canary: float, better: float, streams: list[bool]
) -> None:
    stable = min(canary + tolerance, 1.0) * better
    expected = 0.0
    for pattern in range(2 ** len(streams)):
        bits = [bool(pattern >> i & 1) for i in range(len(streams))]
        chance, watched = 1.0, Difference(tolerance=tolerance)
        for is_canary, bit in zip(streams, bits, strict=True):
            mean = canary if is_canary else stable
            chance *= mean if bit else 1 - mean
            watched.update(Role.CANARY if is_canary else Role.STABLE, float(bit))
        expected += chance * float(np.mean(np.exp(watched.worse.logs)))

    assert expected <= 1.0 + 1e-9


def test_what_was_seen_survives_a_restart_as_json() -> None:
    watched, _ = watch(np.random.default_rng(8), 200, 0.7, 0.8, tolerance=0.01, margin=0.05)

    again = msgspec.json.decode(msgspec.json.encode(watched), type=Difference)

    assert again == watched
    for each in (watched, again):
        each.update(Role.CANARY, 0.0)
        each.update(Role.STABLE, 1.0)
    assert again.evidence == watched.evidence


@pytest.mark.parametrize(
    "make",
    [
        lambda: Difference(low=1.0, high=1.0),
        lambda: Difference(tolerance=-0.1),
        lambda: Difference(margin=1.0),
        lambda: Difference(alpha=0.0),
        lambda: Difference().update(Role.CANARY, math.nan),
        lambda: Difference().update(Role.SHADOW, 1.0),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(Invalid):
        make()
