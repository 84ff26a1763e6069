from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kedge.core.errors import Invalid
from kedge.statistics.intervals import mean_interval, ratio_interval, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (1, 20), (15, 20), (50, 73), (712, 1000), (1000, 1000)])
def test_wilson_equals_scipy(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")

    found = wilson(successes, n)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.value == successes / n


@given(st.integers(1, 5000), st.data())
def test_wilson_holds_its_value_and_stays_between_0_and_1(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))

    found = wilson(successes, n)

    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.low < found.high


def test_without_cases_nothing_is_known() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_more_successes_than_cases_are_refused() -> None:
    with pytest.raises(Invalid):
        wilson(3, 2)


def test_mean_interval_agrees_with_the_t_interval_on_normal_values() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, 400)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval()

    found = mean_interval(values)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert found.value == pytest.approx(values.mean())


def test_mean_interval_agrees_with_scipys_bca_on_many_skewed_values() -> None:
    values = np.random.default_rng(4).lognormal(0.0, 1.0, 2000)
    expected = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(5), n_resamples=2000).confidence_interval

    found = mean_interval(values)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.1, 0.9, 0.3, 0.4, 0.8, 0.7]

    assert mean_interval(values) == mean_interval(list(values))


def test_equal_bounded_values_are_no_more_certain_than_an_exact_proportion() -> None:
    expected = stats.binomtest(20, 20).proportion_ci(method="exact")

    found = mean_interval([1.0] * 20, bounds=(0.0, 1.0))

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_equal_unbounded_values_give_the_value_itself() -> None:
    found = mean_interval([3.5, 3.5, 3.5])

    assert (found.low, found.value, found.high) == (3.5, 3.5, 3.5)


def test_a_ratio_is_weighted_by_its_denominators() -> None:
    found = ratio_interval([2.0, 30.0], [1.0, 10.0])

    assert found.value == pytest.approx(32 / 11)


def test_cases_of_one_group_count_once() -> None:
    random = np.random.default_rng(6)
    groups = [str(i) for i in range(40) for _ in range(10)]
    values = np.repeat(random.normal(0.0, 1.0, 40), 10)

    alone, together = mean_interval(values), mean_interval(values, groups=groups)

    assert together.high - together.low > 2.5 * (alone.high - alone.low)


@pytest.mark.parametrize("values", [[], [math.nan, 1.0], [math.inf, 1.0]])
def test_scores_that_are_not_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(Invalid):
        mean_interval(values)
