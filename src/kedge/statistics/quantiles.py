"""A quantile of two streams watched as answers come, as of latency: is the canary's more than so many times the other's?

Confidence sequences of quantiles follow Howard and Ramdas 2022 (Bernoulli 28): whether x lies below the quantile p is a
question about one share, that of answers up to x, and it is asked of all x at once. Shares are tested by mixtures of
likelihood ratios (Robbins 1970, Annals of Mathematical Statistics 41). Two streams are compared through the value that
would have to part them: under the null hypothesis there is one at which both tests are fair, so that the least product
over all values is an e-value. Answers are counted in buckets 2 % apart and every bound is rounded to the safe side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.core.release import Role
from kedge.statistics.sequential import ALPHA

STEP = 1.02  # of one bucket's edge to the next
LEAST = 1e-4  # what is smaller counts as this
BUCKETS = 1000  # the last begins at about 39,000

_ODDS = np.array([1.1, 1.25, 1.6, 2.5, 5.0])  # by how much the odds of passing x may be off, either way
_LARGEST = 700.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileEvidence:
    """What two streams have shown of a quantile, with any number of looks.

    `worse` is the e-value against "the canary's quantile is at most `ratio` times the stable stream's", `fine` that
    against "it is that much or more". Each stream's quantile comes with its confidence sequence.
    """

    worse: float
    fine: float
    quantile_canary: Interval
    quantile_stable: Interval
    canary: int
    stable: int

    @property
    def p_worse(self) -> float:
        """The anytime-valid p-value of "no slower than tolerated"."""
        return min(1.0, 1.0 / self.worse)

    @property
    def p_fine(self) -> float:
        """The anytime-valid p-value of "slower than tolerated"."""
        return min(1.0, 1.0 / self.fine)


@dataclass(slots=True, kw_only=True)
class QuantileRatio:
    """The ratio of a quantile of two streams of positive values. Smaller is better.

    `update` counts; `evidence` computes, in a fraction of a millisecond, and keeps the largest e-values of the looks taken. All state is
    plain numbers in fields, so that it survives a restart as JSON.
    """

    quantile: float = 0.95
    ratio: float = 1.0
    alpha: float = ALPHA
    counts: dict[str, list[int]] = field(
        default_factory=lambda: {Role.CANARY: [0] * BUCKETS, Role.STABLE: [0] * BUCKETS}
    )
    worse: float = 1.0
    fine: float = 1.0

    def __post_init__(self) -> None:
        if not (0.0 < self.quantile < 1.0 and self.ratio > 0.0 and 0.0 < self.alpha < 1.0):
            raise Invalid("a quantile and alpha lie between 0 and 1, and a ratio is positive")

    def update(self, role: str, value: float) -> None:
        """Take one answer's value. `Invalid` for what is not a number, or is negative."""
        if not (math.isfinite(value) and value >= 0.0) or role not in self.counts:
            raise Invalid(f"not a value of the canary or the stable stream: {role} {value}")
        bucket = int(math.log(value / LEAST) / _LOG_STEP) + 1 if value >= LEAST else 0
        self.counts[role][min(bucket, BUCKETS - 1)] += 1

    @property
    def evidence(self) -> QuantileEvidence:
        """What both streams have shown so far."""
        canary, stable = self._below(Role.CANARY), self._below(Role.STABLE)
        # In logarithms: evidence that fewer, or more, than the quantile's share lie below each bucket's lower edge.
        over_canary, under_canary = self._tests(canary)
        over_stable, under_stable = self._tests(stable)
        shift = math.log(self.ratio) / _LOG_STEP
        far, near = math.ceil(shift - 1e-9), math.floor(shift + 1e-9)
        edges = np.arange(BUCKETS)
        worse = over_canary[np.clip(edges + 1 + far, 1, BUCKETS)] + under_stable[edges]
        fine = under_canary[np.where(edges, np.clip(edges + near, 0, BUCKETS - 1), 0)] + over_stable[edges + 1]
        self.worse = max(self.worse, math.exp(min(float(worse.min()), _LARGEST)))
        self.fine = max(self.fine, math.exp(min(float(fine.min()), _LARGEST)))
        return QuantileEvidence(
            worse=self.worse,
            fine=self.fine,
            quantile_canary=self._interval(canary, over_canary, under_canary),
            quantile_stable=self._interval(stable, over_stable, under_stable),
            canary=int(canary[-1]),
            stable=int(stable[-1]),
        )

    def _below(self, role: str) -> Floats:
        """How many values lie below the lower edge of each bucket; the last entry counts all."""
        return np.concatenate([[0.0], np.cumsum(self.counts[role], dtype=np.float64)])

    def _tests(self, below: Floats) -> tuple[Floats, Floats]:
        return share_tests(below, below[-1], self.quantile)

    def _interval(self, below: Floats, over: Floats, under: Floats) -> Interval:
        """The quantile, between the last edge shown to be too low and the first shown to be too high."""
        least = math.log(2.0 / self.alpha)
        low, high = np.flatnonzero(over >= least), np.flatnonzero(under >= least)
        middle = int(np.searchsorted(below, self.quantile * below[-1], side="left")) if below[-1] else 0
        return Interval(
            value=_edge(max(middle, 1)),
            low=_edge(int(low[-1])) if len(low) else 0.0,
            high=_edge(int(high[0])) if len(high) else math.inf,
            level=1.0 - self.alpha,
        )


_LOG_STEP = math.log(STEP)


def share_tests(successes: Any, n: float, share: float) -> tuple[Floats, Floats]:
    """Logarithms of two e-values: against "successes have at least this share", and against "at most this share"."""
    passed = np.asarray(successes, dtype=np.float64)[..., None]
    odds = (1.0 - share) / share
    fewer, more = (1.0 / (1.0 + odds * _ODDS), 1.0 / (1.0 + odds / _ODDS))
    tests = (
        passed * np.log(other / share) + (n - passed) * np.log((1.0 - other) / (1.0 - share)) for other in (fewer, more)
    )
    against_least, against_most = (_mean_of_exponents(test) for test in tests)
    return against_least, against_most


def _mean_of_exponents(logs: Floats) -> Floats:
    """The logarithm of the mean over the last axis of what these are the logarithms of."""
    top = logs.max(axis=-1)
    means: Floats = top + np.log(np.exp(logs - top[..., None]).mean(axis=-1))
    return means


def _edge(bucket: int) -> float:
    """The lower edge of a bucket: 0 of the first, then 2 % apart, and none after the last."""
    return 0.0 if bucket <= 0 else math.inf if bucket >= BUCKETS else LEAST * STEP ** (bucket - 1)
