"""A 95 % interval holds the truth 93 to 97 times in 100, and a gate's interval errs no more often than it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from kedge.core.evaluation import Interval
from kedge.statistics.differences import Discordance, difference_interval, tango
from kedge.statistics.intervals import Floats, mean_interval, ratio_interval, wilson
from kedge.statistics.paired import mcnemar

SIMULATIONS = 400
SLACK = 0.015  # about one and a half standard errors of 400 simulations


def coverage(draw: Callable[[Generator], Interval], truth: float, seed: int) -> float:
    random = np.random.default_rng(seed)
    held = [(found := draw(random)).low <= truth <= found.high for _ in range(SIMULATIONS)]
    return float(np.mean(held))


def assert_honest(seen: float) -> None:
    assert 0.93 - SLACK <= seen <= 0.97 + SLACK


@pytest.mark.parametrize(("share", "n"), [(0.55, 200), (0.9, 300), (0.7, 1000)])
def test_wilson_covers(share: float, n: int) -> None:
    assert_honest(coverage(lambda random: wilson(int(random.binomial(n, share)), n), share, seed=1))


@pytest.mark.parametrize(("first", "second", "n"), [(0.05, 0.15, 200), (0.02, 0.02, 500), (0.2, 0.3, 100)])
def test_tango_covers(first: float, second: float, n: int) -> None:
    def draw(random: Generator) -> Interval:
        a, b, _ = random.multinomial(n, [first, second, 1 - first - second])
        return tango(Discordance(first=int(a), second=int(b), n=n))

    assert_honest(coverage(draw, second - first, seed=2))


def exponential(random: Generator, n: int) -> Floats:
    return random.exponential(1.0, n)


def graded(random: Generator, n: int) -> Floats:
    return random.choice(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), n, p=[0.1, 0.1, 0.2, 0.2, 0.4])


@pytest.mark.parametrize(("draws", "truth", "n"), [(exponential, 1.0, 60), (graded, 0.675, 60), (graded, 0.675, 300)])
def test_the_bootstrap_of_a_mean_covers(draws: Callable[[Generator, int], Floats], truth: float, n: int) -> None:
    assert_honest(coverage(lambda random: mean_interval(draws(random, n)), truth, seed=3))


def test_the_bootstrap_of_a_ratio_covers() -> None:
    def draw(random: Generator) -> Interval:
        tokens = random.integers(5, 40, 100).astype(np.float64)
        return ratio_interval(tokens * random.gamma(2.0, 0.5, 100), tokens)

    assert_honest(coverage(draw, 1.0, seed=4))


def test_the_bootstrap_over_groups_covers() -> None:
    def draw(random: Generator) -> Interval:
        groups = [str(i) for i in range(50) for _ in range(4)]
        values = np.repeat(random.normal(0.0, 1.0, 50), 4) + random.normal(0.0, 0.5, 200)
        return mean_interval(values, groups=groups)

    assert_honest(coverage(draw, 0.0, seed=5))


def heavy(random: Generator) -> Interval:
    return difference_interval(random.lognormal(0.0, 1.0, 100), random.lognormal(0.0, 1.0, 100))


def few_groups(random: Generator) -> Interval:
    size = random.integers(1, 30, 8)
    gaps = np.repeat(random.normal(0.0, 0.1, 8), size) + random.normal(0.0, 0.1, int(size.sum()))
    return difference_interval(np.zeros_like(gaps), gaps, groups=np.repeat(list("abcdefgh"), size).tolist())


def skewed(random: Generator) -> Interval:
    return difference_interval(np.zeros(60), 0.02 - random.exponential(0.02, 60))


@pytest.mark.parametrize("draw", [heavy, few_groups, skewed])
def test_the_interval_of_a_difference_covers(draw: Callable[[Generator], Interval]) -> None:
    assert_honest(coverage(draw, 0.0, seed=7))


def test_mcnemar_rejects_a_true_null_at_most_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    drawn = random.multinomial(150, [0.1, 0.1, 0.8], size=2000)

    rejected = np.mean([mcnemar(Discordance(first=int(a), second=int(b), n=150)) <= 0.05 for a, b, _ in drawn])

    assert rejected <= 0.05
