from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from kedge.core.errors import Invalid
from kedge.statistics.differences import Discordance, difference_interval, discordance, score, tango
from kedge.statistics.paired import mcnemar, score_test, sign_flips
from kedge.statistics.typical import typical_bounds


@st.composite
def pairs(draw: st.DrawFn) -> Discordance:
    first, second = draw(st.integers(0, 300)), draw(st.integers(0, 300))
    return Discordance(first=first, second=second, n=first + second + draw(st.integers(1, 500)))


@pytest.mark.parametrize(("first", "second"), [(16, 6), (7, 1), (0, 5), (40, 40), (130, 95)])
def test_mcnemar_equals_the_exact_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second, 0.5).pvalue

    assert mcnemar(Discordance(first=first, second=second, n=500)) == pytest.approx(expected)


def test_mcnemar_without_discordant_pairs_sees_no_difference() -> None:
    assert mcnemar(Discordance(first=0, second=0, n=9)) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "n", "level", "low", "high"),
    [
        (16, 6, 161, 0.95, -0.1240, -0.0054),  # Fagerland, Lydersen and Laake: response before and after therapy
        (25, 28, 618, 0.90, -0.0148, 0.0247),  # R, PropCIs::scoreci.mp
        (60, 20, 1000, 0.95, -0.0584, -0.0231),  # R, PropCIs::scoreci.mp
    ],
)
def test_tango_equals_published_intervals(
    first: int, second: int, n: int, level: float, low: float, high: float
) -> None:
    found = tango(Discordance(first=first, second=second, n=n), level=level)

    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_the_score_uses_the_most_likely_shares_under_the_hypothesis() -> None:
    first, second, n, difference = 9, 21, 120, 0.03

    def unlikelihood(only_first: float) -> float:
        shares = (only_first, only_first + difference, 1 - 2 * only_first - difference)
        counts = (first, second, n - first - second)
        return -sum(k * math.log(p) for k, p in zip(counts, shares, strict=True))

    only_first = optimize.minimize_scalar(unlikelihood, bounds=(1e-9, 0.48), options={"xatol": 1e-10}).x
    variance = n * (2 * only_first + difference - difference**2)
    expected = (second - first - n * difference) / math.sqrt(variance)

    found = score(Discordance(first=first, second=second, n=n), difference)

    assert found == pytest.approx(expected, abs=1e-5)


@given(pairs())
def test_tango_holds_its_value_and_its_bounds_are_just_rejected(counted: Discordance) -> None:
    found = tango(counted)

    assert -1.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.low == -1.0 or score_test(counted, found.low) == pytest.approx(0.05, abs=1e-6)
    assert found.high == 1.0 or score_test(counted, found.high) == pytest.approx(0.05, abs=1e-6)


@given(pairs())
def test_exchanging_the_two_mirrors_the_interval(counted: Discordance) -> None:
    there, back = tango(counted), tango(Discordance(first=counted.second, second=counted.first, n=counted.n))

    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


def test_sign_flips_of_few_cases_are_exact() -> None:
    differences = [0.2, 0.5, 0.1, 0.4, 0.3]

    assert sign_flips(differences) == pytest.approx(2 / 2**5)


def test_sign_flips_agree_with_scipys_permutation_test() -> None:
    differences = np.random.default_rng(8).normal(0.25, 1.0, 80)
    expected = stats.permutation_test(
        (differences, np.zeros(80)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        rng=np.random.default_rng(9),
    ).pvalue

    assert sign_flips(differences) == pytest.approx(expected, abs=0.01)


def test_the_signs_of_a_group_flip_together() -> None:
    differences = [0.1] * 10
    groups = ["a"] * 5 + ["b"] * 5

    assert sign_flips(differences, groups=groups) == 0.5


def test_equal_scores_show_no_difference() -> None:
    assert sign_flips([0.0, 0.0]) == 1.0


def test_zeros_and_ones_are_compared_by_discordant_pairs() -> None:
    first, second = [1, 0, 0, 1, 0], [1, 1, 1, 0, 0]

    assert discordance(first, second) == Discordance(first=1, second=2, n=5)
    assert difference_interval(first, second) == tango(Discordance(first=1, second=2, n=5))


def test_other_scores_are_compared_by_their_mean_difference() -> None:
    found = difference_interval([0.2, 0.4, 0.1, 0.3], [0.5, 0.6, 0.2, 0.9])

    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high


def test_the_subsets_bound_what_the_test_by_flipping_signs_does_not_reject() -> None:
    gaps = np.random.default_rng(10).normal(0.2, 1.0, 10)
    low, high = typical_bounds(gaps, np.ones(10), level=0.95, seed=0)

    assert sign_flips(gaps - low - 1e-9) > 0.05
    assert sign_flips(gaps - low + 1e-9) <= 0.05
    assert sign_flips(gaps - high + 1e-9) > 0.05
    assert sign_flips(gaps - high - 1e-9) <= 0.05


def test_the_bounds_of_groups_weigh_each_case_alike() -> None:
    above, below = np.array([2.0, 3.0, 30.0]), np.array([1.0, 1.0, 10.0])

    assert typical_bounds(above, below, level=0.95, seed=0) == (2.0, 3.0)


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(Invalid):
        difference_interval([0.1, 0.2], [0.3])
