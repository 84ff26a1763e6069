"""A quantile of two streams: bounds that hold at every look, and a slow canary that is seen."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from scipy import stats

from kedge.core.errors import Invalid
from kedge.core.release import Role
from kedge.statistics.quantiles import QuantileRatio, share_tests


def feed(watched: QuantileRatio, answers: int, *, slower: float, seed: int = 1) -> None:
    random = np.random.default_rng(seed)
    for latency, chance in zip(random.lognormal(-1, 0.5, answers), random.random(answers), strict=True):
        if chance < 0.3:
            watched.update(Role.CANARY, slower * latency)
        else:
            watched.update(Role.STABLE, latency)


def test_a_canary_twice_as_slow_is_seen() -> None:
    watched = QuantileRatio(quantile=0.95, ratio=1.2)
    feed(watched, 1500, slower=2.0)

    found = watched.evidence

    assert found.worse >= 20
    assert found.quantile_canary.low > found.quantile_stable.high


def test_a_canary_that_is_as_fast_is_found_fine_within_a_ratio() -> None:
    watched = QuantileRatio(quantile=0.5, ratio=1.5)
    feed(watched, 1500, slower=1.0)

    assert watched.evidence.fine >= 20
    assert watched.evidence.worse < 20


def test_equal_streams_are_seldom_told_apart() -> None:
    wrong = 0
    for seed in range(60):
        watched = QuantileRatio(quantile=0.9)
        feed(watched, 150, slower=1.0, seed=seed)
        wrong += watched.evidence.worse >= 20

    assert wrong <= 5


def test_the_quantile_lies_in_its_confidence_sequence() -> None:
    truth, missed = float(stats.lognorm(0.5, scale=math.exp(-1)).ppf(0.95)), 0
    for seed in range(60):
        watched = QuantileRatio(quantile=0.95)
        feed(watched, 300, slower=1.0, seed=seed)
        found = watched.evidence.quantile_stable
        missed += not found.low <= truth <= found.high

    assert missed <= 5


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_a_test_of_a_share_is_fair_at_that_share(share: float) -> None:
    n = 40
    chances = stats.binom(n, share).pmf(np.arange(n + 1))

    fewer, more = share_tests(np.arange(n + 1), n, share)

    assert float(chances @ np.exp(fewer)) == pytest.approx(1.0)
    assert float(chances @ np.exp(more)) == pytest.approx(1.0)


def test_before_any_answer_nothing_is_known() -> None:
    found = QuantileRatio().evidence

    assert (found.worse, found.fine) == (1.0, 1.0)
    assert (found.quantile_canary.low, found.quantile_canary.high) == (0.0, math.inf)


def test_what_was_counted_survives_a_restart_as_json() -> None:
    watched = QuantileRatio()
    feed(watched, 50, slower=1.0)

    assert msgspec.json.decode(msgspec.json.encode(watched), type=QuantileRatio) == watched


def test_zero_and_very_long_are_counted_at_the_ends() -> None:
    watched = QuantileRatio()
    watched.update(Role.CANARY, 0.0)
    watched.update(Role.CANARY, 1e9)

    assert (watched.counts[Role.CANARY][0], watched.counts[Role.CANARY][-1]) == (1, 1)


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_what_is_no_duration_is_refused(value: float) -> None:
    with pytest.raises(Invalid):
        QuantileRatio().update(Role.CANARY, value)
