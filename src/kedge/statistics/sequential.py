"""Two streams of answers watched as they come: is the canary worse than the stable one? One may look after every answer.

Evidence is an e-value: under a true null hypothesis its mean is at most 1 whenever one stops, so that it ever reaches
1 / alpha with probability alpha at most (Ville's inequality; Ramdas, Grünwald, Vovk and Shafer 2023, Statistical Science
38). Answers are taken in blocks that hold both streams, as Turner and Grünwald 2023 (Statistics and Probability Letters
198) do for a two by two table, and bets are linear in the score, as in Waudby-Smith and Ramdas 2024 (Journal of the
Royal Statistical Society B 86), so that only means and bounds count: right and wrong, grades and cut-off costs alike.

Why it holds: in a block of m canary and n stable scores, bet `1 + (y - q) u` on each of the canary's and
`1 + (y - q - t) v` on each of the others, where `m u + n v = 0`, `u < 0` and everything but the scores is known before.
If the means are `q + s` and `q + t + s` for any s, the product of the bets has the mean
`(1 + s u)^m (1 + s v)^n <= (1 + s (m u + n v) / (m + n))^(m + n) = 1`, and less if the canary is better than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.core.release import Role

ALPHA = 0.05
EFFECTS = (0.06, 0.12, 0.25, 0.5, 1.0)  # drops bet on with equal stakes, in standard deviations of a score
BLOCK = 2  # answers of either stream that a block waits for
MOST = 64  # answers of one stream in a block; more would add nothing

_STAKE = 0.95  # share of the stake that the worst score can lose at most
_LEAST_VARIANCE = 1e-4
_EDGE = 1e-3
_LARGEST = 700.0  # e to this power is still a float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What two streams have shown so far, with any number of looks.

    `worse` is the e-value against "the canary's mean is at most `tolerance` worse", `fine` that against "it is worse by
    `margin` or more": each is the largest so far. `difference` is canary minus stable with its confidence sequence.
    """

    worse: float
    fine: float
    difference: Interval
    canary: int
    stable: int
    mean_canary: float
    mean_stable: float

    @property
    def p_worse(self) -> float:
        """The anytime-valid p-value of "no worse than tolerated"."""
        return min(1.0, 1.0 / self.worse)

    @property
    def p_fine(self) -> float:
        """The anytime-valid p-value of "worse by the margin or more"."""
        return min(1.0, 1.0 / self.fine)


@dataclass(slots=True, kw_only=True)
class Bets:
    """Bets that the canary is worse than the stable stream by more than `tolerance`, on scores in 0..1.

    `logs` are the logarithms of what each bet has come to, `best` the largest logarithm of their mean so far.
    """

    tolerance: float
    logs: list[float] = field(default_factory=lambda: [0.0] * len(EFFECTS))
    best: float = 0.0

    def settle(self, canary: list[float], stable: list[float], mean: float, deviation: float) -> None:
        """Settle a block. `mean` of the canary, if it were as bad as tolerated, and `deviation` come from before it."""
        m, n, t = len(canary), len(stable), self.tolerance
        low = min(max(mean, _EDGE - min(t, 0.0)), 1.0 - _EDGE - max(t, 0.0))
        high = low + t
        most = _STAKE * min(1.0 / (1.0 - low), n / (m * high))
        for k, effect in enumerate(EFFECTS):
            u = min(most, effect / deviation * n / (m + n))
            v = u * m / n
            log = sum(math.log1p((low - y) * u) for y in canary) + sum(math.log1p((y - high) * v) for y in stable)
            self.logs[k] += log
        top = max(self.logs)
        now = top + math.log(sum(math.exp(log - top) for log in self.logs) / len(self.logs))
        self.best = max(self.best, now)

    @property
    def value(self) -> float:
        """The largest e-value so far."""
        return math.exp(min(self.best, _LARGEST))


@dataclass(slots=True, kw_only=True)
class Band:
    """A confidence sequence of a mean of values in 0..1: the predictable empirical Bernstein of Waudby-Smith and Ramdas
    2024 (theorem 2), and the intersection of all so far."""

    alpha: float
    n: int = 0
    total: float = 0.0
    squares: float = 0.25
    stakes: float = 0.0
    weighted: float = 0.0
    spent: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def add(self, x: float) -> None:
        """Take one value."""
        mean, variance = (0.5 + self.total) / (self.n + 1), self.squares / (self.n + 1)
        self.n += 1
        budget = math.log(2.0 / self.alpha)
        stake = min(0.75, math.sqrt(2.0 * budget / (variance * self.n * math.log1p(self.n))))
        self.stakes += stake
        self.weighted += stake * x
        self.spent += (x - mean) ** 2 * (-math.log1p(-stake) - stake)
        self.total += x
        self.squares += (x - (0.5 + self.total) / (self.n + 1)) ** 2
        centre, half = self.weighted / self.stakes, (budget + self.spent) / self.stakes
        self.low, self.high = max(self.low, centre - half), min(self.high, centre + half)


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream: answers counted in settled blocks, their sums, and the scores that wait for their block."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    open: list[float] = field(default_factory=list)

    def settle(self) -> None:
        """Count what was open."""
        self.n += len(self.open)
        self.total += sum(self.open)
        self.squares += sum(y * y for y in self.open)
        self.open = []


@dataclass(slots=True, kw_only=True)
class Difference:
    """The difference of two streams' mean scores, watched as answers come, at a few microseconds each.

    Scores lie between `low` and `high` and are cut off there; `lower` says that smaller ones are better, as of errors
    and costs. `tolerance` and `margin` are in the scores' own units; `alpha` is that of the confidence sequence. All
    state is plain numbers in fields, so that it survives a restart as JSON: `msgspec.json.encode`, then `decode`.

    Holds for any split of the traffic that does not look at the answer it is about to split, and for means that drift as
    long as both streams drift together. Answers must be independent: of one user's many, give their mean or the first.
    """

    low: float = 0.0
    high: float = 1.0
    lower: bool = False
    tolerance: float = 0.0
    margin: float = 0.0
    alpha: float = ALPHA
    streams: dict[str, Stream] = field(default_factory=lambda: {Role.CANARY: Stream(), Role.STABLE: Stream()})
    worse: Bets = field(default_factory=lambda: Bets(tolerance=0.0))
    fine: Bets = field(default_factory=lambda: Bets(tolerance=0.0))
    band: Band = field(default_factory=lambda: Band(alpha=ALPHA))

    def __post_init__(self) -> None:
        width = self.high - self.low
        if not (math.isfinite(width) and width > 0.0 and 0.0 < self.alpha < 1.0):
            raise Invalid("scores need a lower and a higher bound, and alpha lies between 0 and 1")
        if not (0.0 <= self.tolerance < width * (1 - 3 * _EDGE) and 0.0 <= self.margin < width * (1 - 3 * _EDGE)):
            raise Invalid("tolerance and margin are amounts of the score, from 0 up to less than its whole range")
        self.worse.tolerance, self.fine.tolerance = self.tolerance / width, -self.margin / width
        self.band.alpha = self.alpha

    def update(self, role: str, score: float) -> None:
        """Take the score of one answer of `Role.CANARY` or `Role.STABLE`. `Invalid` for what is not a number."""
        if not math.isfinite(score) or role not in self.streams:
            raise Invalid(f"not a score of the canary or the stable stream: {role} {score}")
        y = (min(max(score, self.low), self.high) - self.low) / (self.high - self.low)
        waiting = self.streams[role].open
        if len(waiting) < MOST:
            waiting.append(1.0 - y if self.lower else y)
        if all(len(stream.open) >= BLOCK for stream in self.streams.values()):
            self._settle()

    def _settle(self) -> None:
        canary, stable = self.streams[Role.CANARY], self.streams[Role.STABLE]
        n = 1 + canary.n + stable.n
        mean = (0.5 + canary.total + stable.total) / n
        variance = (0.5 + canary.squares + stable.squares) / n - mean * mean
        deviation = math.sqrt(max(variance, _LEAST_VARIANCE))
        share = stable.n / n
        self.worse.settle(canary.open, stable.open, mean - self.worse.tolerance * share, deviation)
        flipped = 1.0 - mean - self.fine.tolerance * share  # that the canary is fine is that it is worse upside down
        self.fine.settle([1.0 - y for y in canary.open], [1.0 - y for y in stable.open], flipped, deviation)
        gap = sum(canary.open) / len(canary.open) - sum(stable.open) / len(stable.open)
        self.band.add((gap + 1.0) / 2.0)
        canary.settle()
        stable.settle()

    @property
    def evidence(self) -> Evidence:
        """What both streams have shown up to the last full block."""
        canary, stable = self.streams[Role.CANARY], self.streams[Role.STABLE]
        means = (self._mean(canary), self._mean(stable))
        return Evidence(
            worse=self.worse.value,
            fine=self.fine.value,
            difference=self.interval,
            canary=canary.n,
            stable=stable.n,
            mean_canary=means[0],
            mean_stable=means[1],
        )

    @property
    def interval(self) -> Interval:
        """Canary minus stable, in the scores' own units and direction, at every moment with the same confidence."""
        sign = -1.0 if self.lower else 1.0
        width = sign * (self.high - self.low)
        bounds = sorted(((2.0 * self.band.low - 1.0) * width, (2.0 * self.band.high - 1.0) * width))
        value = self._mean(self.streams[Role.CANARY]) - self._mean(self.streams[Role.STABLE])
        return Interval(value=value, low=min(bounds[0], value), high=max(bounds[1], value), level=1.0 - self.alpha)

    def _mean(self, stream: Stream) -> float:
        """In the scores' own units; the middle of their range before the first block."""
        mean = stream.total / stream.n if stream.n else 0.5
        return self.low + (self.high - self.low) * (1.0 - mean if self.lower else mean)
