"""The same numbers as scipy and statsmodels on the same inputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import contingency_tables, multitest, power, proportion

from kedge.statistics.bounded import mean_above, unseen_share
from kedge.statistics.differences import Discordance
from kedge.statistics.intervals import mean_interval, wilson
from kedge.statistics.paired import holm, mcnemar, paired_test, sign_flips
from kedge.statistics.power import cases_for_mean, cases_for_pairs, power_of_mean, power_of_pairs


@pytest.mark.parametrize(("first", "second"), [(16, 6), (0, 5), (40, 40), (130, 95), (3, 9)])
def test_mcnemar_equals_statsmodels(first: int, second: int) -> None:
    expected = contingency_tables.mcnemar([[100, first], [second, 100]], exact=True).pvalue

    assert mcnemar(Discordance(first=first, second=second, n=200 + first + second)) == pytest.approx(expected)


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (15, 20), (712, 1000)])
def test_wilson_equals_statsmodels(successes: int, n: int) -> None:
    found = wilson(successes, n)

    assert (found.low, found.high) == pytest.approx(proportion.proportion_confint(successes, n, method="wilson"))


@pytest.mark.parametrize("ps", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.01], [1.0, 0.001]])
def test_holm_equals_statsmodels(ps: list[float]) -> None:
    assert holm(ps) == pytest.approx(list(multitest.multipletests(ps, method="holm")[1]))


def test_cases_for_a_mean_equal_statsmodels() -> None:
    expected = power.NormalIndPower(ddof=0).solve_power(effect_size=0.25, ratio=0, alpha=0.05, power=0.8)

    assert cases_for_mean(0.05, 0.2) == int(np.ceil(expected))


def test_power_of_a_mean_is_near_that_of_the_t_test() -> None:
    expected = power.TTestPower().power(effect_size=0.2, nobs=200, alpha=0.05)

    assert power_of_mean(200, 0.05, 0.25) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("shift", [0.02, 0.05])
def test_sign_flips_equal_scipys_permutation_test(shift: float) -> None:
    gaps = np.random.default_rng(1).normal(shift, 0.2, 60)
    expected = stats.permutation_test(
        (gaps, np.zeros(60)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(2),
    ).pvalue

    assert sign_flips(gaps) == pytest.approx(expected, abs=0.012)


def test_many_gaps_are_flipped_in_lots_to_the_same_effect() -> None:
    gaps = np.random.default_rng(3).normal(0.003, 0.2, 20_000)

    assert sign_flips(gaps) == pytest.approx(stats.ttest_1samp(gaps, 0.0).pvalue, abs=0.012)
    found, expected = mean_interval(gaps), stats.ttest_1samp(gaps, 0.0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=2e-4)


@pytest.mark.parametrize(
    ("successes", "n", "reference"), [(18, 20, 0.6), (20, 20, 0.9), (55, 100, 0.5), (3, 100, 0.01)]
)
def test_gaffkes_test_of_bits_is_the_exact_binomial_test(successes: int, n: int, reference: float) -> None:
    expected = stats.binomtest(successes, n, reference, alternative="greater").pvalue

    assert mean_above([1.0] * successes + [0.0] * (n - successes), reference, 0.0) == pytest.approx(expected, rel=0.02)


def test_what_may_be_unseen_is_the_exact_bound_of_none_in_n() -> None:
    assert unseen_share(60, 0.95) == pytest.approx(stats.binomtest(0, 60).proportion_ci(method="exact").high)


def test_gaffkes_test_has_nothing_to_say_below_the_reference() -> None:
    assert mean_above([0.1, 0.2], 0.5, 0.0) == 1.0
    assert mean_above([0.6, 0.7], 0.5, 0.5) == 0.0


def test_the_power_of_mcnemar_is_counted_out() -> None:
    n, difference, discordant = 120, 0.1, 0.2
    random = np.random.default_rng(4)
    drawn = random.multinomial(n, [0.05, 0.15, 0.8], size=3000)

    seen = np.mean([mcnemar(Discordance(first=int(a), second=int(b), n=n)) <= 0.05 for a, b, _ in drawn])

    assert power_of_pairs(n, difference, discordant) == pytest.approx(seen, abs=0.03)


def test_the_cases_for_pairs_are_the_fewest_near_that_have_the_power() -> None:
    n = cases_for_pairs(0.1, 0.2)

    assert power_of_pairs(n, 0.1, 0.2) >= 0.8
    assert power_of_pairs(n - 10, 0.1, 0.2) < 0.8


def test_rare_great_losses_that_were_not_seen_are_guarded_against() -> None:
    few = paired_test([0.5] * 20, [0.53] * 20)
    many = paired_test([0.5] * 200, [0.53] * 200)

    assert (few.p <= 0.05, few.guard > 0.05) == (True, True)
    assert (many.p <= 0.05, many.guard <= 0.05) == (True, True)
