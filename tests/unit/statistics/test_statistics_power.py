from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from kedge.core.errors import Invalid
from kedge.statistics.differences import Discordance, tango
from kedge.statistics.power import (
    MOST,
    cases_for_mean,
    cases_for_paired,
    cases_for_proportion,
    power_of_pairs,
    smallest_difference,
)


def test_cases_equal_statsmodels() -> None:
    # statsmodels 0.15.0: power.normal_sample_size_one_tail(difference, power, 0.025, std_null, std_alternative)
    assert cases_for_proportion(0.55, 0.50) == 783
    assert cases_for_proportion(0.92, 0.95, power=0.9) == 668
    assert cases_for_paired(0.03, 0.10) == 870
    # and its power of a mean, NormalIndPower with ddof 0 at effect size 0.3
    assert cases_for_mean(0.3, 1.0) == 88


def test_no_number_of_cases_tells_equals_apart() -> None:
    assert cases_for_proportion(0.5, 0.5) == MOST
    assert cases_for_paired(0.0, 0.2) == MOST
    assert cases_for_mean(1e-9, 1.0) == MOST


def test_the_smallest_difference_is_the_inverse_of_the_cases() -> None:
    assert smallest_difference(870, 0.10) == pytest.approx(0.03, abs=1e-4)


def test_a_difference_larger_than_the_discordance_seen_brings_its_own() -> None:
    found = smallest_difference(60, 0.02)

    assert 0.1 < found < 0.2
    assert cases_for_paired(found, found) == 60


def test_a_difference_larger_than_the_discordance_is_impossible() -> None:
    with pytest.raises(Invalid):
        cases_for_paired(0.3, 0.2)


@pytest.mark.parametrize(
    ("n", "difference", "discordant"), [(1, 0.5, 1.0), (17, 0.3, 0.4), (400, 0.05, 0.2), (3000, 0.0, 0.01)]
)
def test_the_power_of_pairs_is_that_of_every_outcome_summed(n: int, difference: float, discordant: float) -> None:
    better = (discordant + difference) / (2 * discordant)
    expected = sum(
        binom.pmf(count, n, discordant) * binom.pmf(rarer, count, 1 - better)
        for count in range(min(n, 200) + 1)
        for rarer in range(count // 2 + 1)
        if binomtest(rarer, count or 1, 0.5).pvalue <= 0.05
    )

    assert power_of_pairs(n, difference, discordant) == pytest.approx(expected, abs=1e-9)


def test_the_promised_power_is_seen() -> None:
    difference, discordant = 0.06, 0.14
    n = cases_for_paired(difference, discordant)
    random = np.random.default_rng(10)
    only_second, only_first = (discordant + difference) / 2, (discordant - difference) / 2
    drawn = random.multinomial(n, [only_first, only_second, 1 - discordant], size=600)

    seen = np.mean([tango(Discordance(first=int(a), second=int(b), n=n)).low > 0 for a, b, _ in drawn])

    assert seen == pytest.approx(0.80, abs=0.05)
