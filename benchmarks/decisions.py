"""How often kedge decides wrongly: false promotions, coverage, power, and canaries withdrawn for nothing.

    python benchmarks/decisions.py                      # everything: 2,000 simulations a cell, 10,000 null canaries
    python benchmarks/decisions.py --simulations 200 --runs 500 --answers 1000   # in about a minute
    python benchmarks/decisions.py --only sequential

Every cell is one line: what is simulated, what was promised, what was seen with its 95 % interval, and whether it holds.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from kedge.core.evaluation import CaseResult, Evaluation, Gate, Interval, MetricResult, Outcome, Rule
from kedge.core.release import Role
from kedge.evaluate.compare import Pairs, Question, answer
from kedge.evaluate.gate import Judged, Other, judge
from kedge.evaluate.needed import Spread, power_to_see
from kedge.statistics.differences import is_binary
from kedge.statistics.intervals import mean_interval, wilson
from kedge.statistics.quantiles import share_tests
from kedge.statistics.sequential import BLOCK, EFFECTS, MOST, Difference

ALPHA = 0.05
COVERS = (0.93, 0.97)

Floats = NDArray[np.float64]
Draw = Callable[[Generator], tuple[Floats, Floats]]
Scores = Callable[[Generator], Floats]
Stream = Callable[[Generator, NDArray[np.int64], int], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Pairs of scores with a known mean difference of B minus A, which is the margin: nothing to promote."""

    name: str
    draw: Draw
    truth: float = 0.0
    groups: Callable[[Generator], list[str]] | None = None
    covers: bool = True


def pairs_of_bits(n: int, first: float, second: float) -> Draw:
    """Right and wrong: the shares that only the first, and only the second, gets right."""

    def draw(random: Generator) -> tuple[Floats, Floats]:
        u = random.random(n)
        only_first, only_second = u < first, (u >= first) & (u < first + second)
        both = ~only_first & ~only_second & (random.random(n) < 0.7)
        return (only_first | both).astype(float), (only_second | both).astype(float)

    return draw


def gaps(n: int, noise: Callable[[Generator, int], Floats], shift: float = 0.0) -> Draw:
    """Scores of which the second is the first and some noise of mean 0."""

    def draw(random: Generator) -> tuple[Floats, Floats]:
        first = random.uniform(0.25, 0.75, n)
        return first, first + noise(random, n) + shift

    return draw


def alike(n: int, scores: Callable[[Generator, int], Floats]) -> Draw:
    """Two draws from one distribution."""
    return lambda random: (scores(random, n), scores(random, n))


def rare(share: float, loss: float) -> Callable[[Generator, int], Floats]:
    """A small gain almost always, and a great loss seldom: mean 0."""
    return lambda random, n: np.where(random.random(n) < share, -loss * (1 - share), loss * share)


def clustered(groups: int, sizes: Callable[[Generator, int], NDArray[np.int64]]) -> Cell:
    """Cases in groups that are good or bad together."""
    member: list[str] = []

    def draw(random: Generator) -> tuple[Floats, Floats]:
        size = sizes(random, groups)
        effect = np.repeat(random.normal(0, 0.1, groups), size)
        member[:] = [str(i) for i in np.repeat(np.arange(groups), size)]
        first = random.uniform(0.3, 0.7, len(effect))
        return first, first + effect + random.normal(0, 0.1, len(effect))

    return Cell(name=f"{groups} groups", draw=draw, groups=lambda random: list(member), covers=groups >= 20)


def cells() -> list[Cell]:
    """Every shape of scores that A and B may have."""
    graded = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    same, unequal = clustered(30, lambda r, g: np.full(g, 5)), clustered(30, lambda r, g: r.integers(1, 20, g))
    few = clustered(8, lambda r, g: r.integers(1, 30, g))
    return [
        Cell(name="bits, 20 cases", draw=pairs_of_bits(20, 0.15, 0.15), covers=False),
        Cell(name="bits, 60 cases, 6 % discordant", draw=pairs_of_bits(60, 0.03, 0.03), covers=False),
        Cell(name="bits, 200 cases, 20 % discordant", draw=pairs_of_bits(200, 0.1, 0.1)),
        Cell(name="bits, 1,000 cases, 5 % discordant", draw=pairs_of_bits(1000, 0.025, 0.025)),
        Cell(name="bits, 500 cases, margin -0.05", draw=pairs_of_bits(500, 0.1, 0.05), truth=-0.05),
        Cell(name="bits, 300 cases, margin 0.03", draw=pairs_of_bits(300, 0.05, 0.08), truth=0.03),
        Cell(name="grades, 60 cases", draw=alike(60, lambda r, n: r.choice(graded, n, p=[0.1, 0.1, 0.2, 0.2, 0.4]))),
        Cell(name="grades, 100 cases, 80 % ties", draw=gaps(100, lambda r, n: r.choice([-0.25, 0, 0.25], n, p=[0.1, 0.8, 0.1]))),
        Cell(name="scores, normal gaps, 60 cases", draw=gaps(60, lambda r, n: r.normal(0, 0.05, n))),
        Cell(name="scores, normal gaps, margin -0.02", draw=gaps(60, lambda r, n: r.normal(0, 0.05, n), -0.02), truth=-0.02),
        Cell(name="scores, beta(0.5, 2), 60 cases", draw=alike(60, lambda r, n: r.beta(0.5, 2, n))),
        Cell(name="scores, lognormal, 100 cases", draw=alike(100, lambda r, n: r.lognormal(0, 1, n))),
        Cell(name="scores, skewed gaps, 60 cases", draw=gaps(60, lambda r, n: 0.02 - r.exponential(0.02, n))),
        Cell(name="scores, 3 % great losses, 60 cases", draw=gaps(60, rare(0.03, 0.25)), covers=False),
        Cell(name="scores, 10 % great losses, 30 cases", draw=gaps(30, rare(0.10, 0.25)), covers=False),
        Cell(name="30 groups of 5", draw=same.draw, groups=same.groups),
        Cell(name="30 groups of 1 to 19", draw=unequal.draw, groups=unequal.groups),
        Cell(name="8 groups of 1 to 29", draw=few.draw, groups=few.groups, covers=False),
    ]  # fmt: skip


def comparisons(simulations: int) -> Iterator[bool]:
    """False promotions of `kedge compare`, and the coverage of its interval."""
    for number, cell in enumerate(cells()):
        random = np.random.default_rng(number)
        passed = held = 0
        for _ in range(simulations):
            first, second = cell.draw(random)
            members = cell.groups(random) if cell.groups else None
            question = Question(margin=cell.truth)
            (found,) = answer([Pairs(question=question, first=first, second=second, members=members)])
            passed += found.verdict is Outcome.PASS
            held += found.interval[0] <= cell.truth <= found.interval[1]
        yield told(f"compare, {cell.name}: false promotion", passed, simulations, most=ALPHA)
        bounds = COVERS if cell.covers else (COVERS[0], 1.0)
        if "great losses" not in cell.name:
            yield told(f"compare, {cell.name}: coverage", held, simulations, least=bounds[0], most=bounds[1])


def holm(simulations: int) -> Iterator[bool]:
    """Any false claim among five metrics of equals."""
    random = np.random.default_rng(100)
    wrong = 0
    for _ in range(simulations):
        asked = [
            Pairs(question=Question(metric=str(i)), first=first, second=second)
            for i in range(5)
            for first, second in [pairs_of_bits(200, 0.1, 0.1)(random)]
        ]
        wrong += any(found.verdict is not Outcome.UNDECIDED for found in answer(asked))
    yield told("compare, 5 metrics at once: any false claim", wrong, simulations, most=ALPHA)


def gates(simulations: int) -> Iterator[bool]:
    """False passes of every kind of rule, at the border of what it allows."""
    bits: dict[str, tuple[Rule, Scores]] = {
        "at_least 0.7, 100 cases": (Rule(metric="m", at_least=0.7), lambda r: (r.random(100) < 0.7).astype(float)),
        "at_least 0.95, 60 cases": (Rule(metric="m", at_least=0.95), lambda r: (r.random(60) < 0.95).astype(float)),
        "at_most 0.1, 200 cases": (Rule(metric="m", at_most=0.1), lambda r: (r.random(200) < 0.1).astype(float)),
        "at_least, grades": (Rule(metric="m", at_least=0.5), lambda r: r.beta(2, 2, 40)),
        "at_least, 3 % great losses": (Rule(metric="m", at_least=0.873), lambda r: np.where(r.random(60) < 0.03, 0.0, 0.9)),
    }  # fmt: skip
    for number, (name, (rule, draw)) in enumerate(bits.items()):
        random = np.random.default_rng(200 + number)
        passed = sum(outcome(rule, draw(random), None) is Outcome.PASS for _ in range(simulations))
        yield told(f"gate, {name}: false pass", passed, simulations, most=ALPHA)
    versus: dict[str, tuple[Rule, Draw]] = {
        "baseline": (Rule(metric="m", at_least="nearest"), pairs_of_bits(200, 0.1, 0.1)),
        "version": (Rule(metric="m", at_least="x@1"), pairs_of_bits(200, 0.1, 0.1)),
        "version, margin -0.05": (Rule(metric="m", at_least="x@1", margin=-0.05), pairs_of_bits(400, 0.1, 0.05)),
        "slice of 30 cases": (Rule(metric="m", at_least="x@1", slice="s"), pairs_of_bits(30, 0.2, 0.2)),
        "version, grades": (Rule(metric="m", at_least="x@1"), alike(60, lambda r, n: r.beta(0.5, 2, n))),
    }
    for number, (name, (rule, pairs)) in enumerate(versus.items()):
        random = np.random.default_rng(300 + number)
        passed = sum(outcome(rule, *reversed(pairs(random))) is Outcome.PASS for _ in range(simulations))
        yield told(f"gate, {name}: false pass", passed, simulations, most=ALPHA)


def outcome(rule: Rule, ours: Floats, theirs: Floats | None) -> Outcome:
    """What a gate of one rule says."""
    results = [result(rule, ours, "model")]
    listed = case_results(rule, ours, "model")
    others = {}
    if theirs is not None and rule.version:
        others = {rule.version: Other(address="x@1", bundle="o", digest="e", cases=case_results(rule, theirs, "model"))}
    elif theirs is not None:
        results.append(result(rule, theirs, "nearest"))
        listed += case_results(rule, theirs, "nearest")
    evaluation = Evaluation(bundle="b", dataset="d", cases=len(ours), results=tuple(results))
    judged = Judged(digest="e", evaluation=evaluation, cases=listed, others=others)
    return judge(Gate(name="g", rules=(rule,)), judged).outcome


def result(rule: Rule, scores: Floats, answerer: str) -> MetricResult:
    """The metric as an evaluation gives it."""
    interval: Interval = (
        wilson(scores.sum(), len(scores)) if is_binary(scores) else mean_interval(scores, bounds=(0.0, 1.0))
    )
    return MetricResult(metric="m", interval=interval, n=len(scores), slice=rule.slice, answerer=answerer)


def case_results(rule: Rule, scores: Floats, answerer: str) -> list[CaseResult]:
    """One case a score."""
    slices = (rule.slice,) if rule.slice else ()
    return [
        CaseResult(row=str(i), answerer=answerer, answer="", scores={"m": score}, slices=slices)
        for i, score in enumerate(scores.tolist())
    ]


def power(simulations: int) -> Iterator[bool]:
    """The power that is promised before the run beside that which is seen."""
    bits = [(60, 0.15, 0.25), (150, 0.1, 0.2), (300, 0.05, 0.1), (500, 0.03, 0.05), (900, 0.03, 0.1)]
    for number, (n, difference, discordant) in enumerate(bits):
        draw = pairs_of_bits(n, (discordant - difference) / 2, (discordant + difference) / 2)
        promised = power_to_see(difference, Spread(discordant=discordant), n, alpha=ALPHA)
        yield observed(f"bits, {n} cases, {difference:g} of {discordant:g}", draw, promised, simulations, number)
    for number, (n, difference, deviation) in enumerate([(40, 0.1, 0.2), (80, 0.05, 0.15), (200, 0.04, 0.2)], 10):
        draw = gaps(n, normal(deviation), difference)
        spread = Spread(deviation=deviation, reach=span_of(draw))
        promised = power_to_see(difference, spread, n, alpha=ALPHA)
        yield observed(
            f"scores, {n} cases, {difference:g} with deviation {deviation:g}", draw, promised, simulations, number
        )


def normal(deviation: float) -> Callable[[Generator, int], Floats]:
    """Normal noise."""
    return lambda random, n: random.normal(0, deviation, n)


def span_of(draw: Draw) -> float:
    """How far apart scores of these draws lie on average, as the test will see it."""
    spans = []
    for seed in range(50):
        scores = np.concatenate(draw(np.random.default_rng(seed)))
        low, high = float(scores.min()), float(scores.max())
        spans.append(1.0 if low >= 0 and high <= 1 else high - low)
    return float(np.mean(spans))


def observed(name: str, draw: Draw, promised: float, simulations: int, seed: int) -> bool:
    """One line of the power line."""
    random = np.random.default_rng(400 + seed)
    passed = 0
    for _ in range(simulations):
        first, second = draw(random)
        (found,) = answer([Pairs(question=Question(), first=first, second=second)])
        passed += found.verdict is Outcome.PASS
    low, high = promised - 0.05, promised + 0.05
    return told(f"power, {name}: promised {promised:.3f}", passed, simulations, least=low, most=high)


def told(name: str, count: int, n: int, *, least: float = 0.0, most: float = 1.0) -> bool:
    """Print one cell; whether it holds, allowing for the simulation's own error."""
    seen = wilson(count, n)
    holds = seen.high >= least and seen.low <= most
    bound = f"at most {most:g}" if least <= 0 else f"{least:.3f} to {min(most, 1.0):.3f}"
    print(
        f"{'ok ' if holds else 'NOT'} {name:<72} {seen.value:.4f} [{seen.low:.4f}, {seen.high:.4f}]  {bound}",
        flush=True,
    )
    return holds


class Crowd:
    """Many canaries at once: the arithmetic of `Difference.worse` over arrays, a row a run."""

    def __init__(self, *, runs: int, tolerance: float = 0.0) -> None:
        self.runs, self.tolerance = runs, tolerance
        self.open = np.zeros((2, self.runs, MOST))
        self.waiting = np.zeros((2, self.runs), dtype=np.int64)
        self.n = np.zeros((2, self.runs))
        self.total, self.squares = np.zeros(self.runs), np.zeros(self.runs)
        self.logs = np.zeros((self.runs, len(EFFECTS)))
        self.best = np.zeros(self.runs)

    def update(self, stream: NDArray[np.int64], scores: Floats) -> None:
        """One answer of each run: of the canary (0) or the stable stream (1)."""
        rows = np.arange(self.runs)
        place = self.waiting[stream, rows]
        room = place < MOST
        self.open[stream[room], rows[room], place[room]] = scores[room]
        self.waiting[stream[room], rows[room]] += 1
        full = np.flatnonzero((self.waiting >= BLOCK).all(axis=0))
        if len(full):
            self._settle(full)

    def _settle(self, full: NDArray[np.int64]) -> None:
        m, n = self.waiting[0, full].astype(float), self.waiting[1, full].astype(float)
        count = 1 + self.n[0, full] + self.n[1, full]
        mean = (0.5 + self.total[full]) / count
        deviation = np.sqrt(np.maximum((0.5 + self.squares[full]) / count - mean * mean, 1e-4))
        t, share = self.tolerance, self.n[1, full] / count
        low = np.clip(mean - t * share, 1e-3 - min(t, 0.0), 1 - 1e-3 - max(t, 0.0))
        high = low + t
        most = 0.95 * np.minimum(1 / (1 - low), n / (m * high))
        u = np.minimum(most[:, None], np.array(EFFECTS) / deviation[:, None] * (n / (m + n))[:, None])
        logs = np.zeros_like(u)
        for which, centre, stake in ((0, low, u), (1, high, -u * (m / n)[:, None])):
            widest = int(self.waiting[which, full].max())
            values = self.open[which, full, :widest]
            there = np.arange(widest) < self.waiting[which, full][:, None]
            gap = np.where(there, centre[:, None] - values, 0.0)
            logs += np.log1p(gap[:, :, None] * stake[:, None, :]).sum(axis=1)
            self.total[full] += np.where(there, values, 0.0).sum(axis=1)
            self.squares[full] += np.where(there, values**2, 0.0).sum(axis=1)
            self.n[which, full] += self.waiting[which, full]
            self.waiting[which, full] = 0
        self.logs[full] += logs
        top = self.logs[full].max(axis=1)
        now = top + np.log(np.exp(self.logs[full] - top[:, None]).mean(axis=1))
        self.best[full] = np.maximum(self.best[full], now)


def right(share: float) -> Stream:
    """Answers right with one share, whoever gives them."""
    return lambda random, stream, t: (random.random(len(stream)) < share).astype(float)


def tolerated(random: Generator, stream: NDArray[np.int64], t: int) -> Floats:
    """The canary's are 5 points worse."""
    return (random.random(len(stream)) < np.where(stream == 0, 0.75, 0.8)).astype(float)


def drifting(random: Generator, stream: NDArray[np.int64], t: int) -> Floats:
    """Questions become harder and easier again, for both alike."""
    return (random.random(len(stream)) < 0.7 + 0.2 * math.sin(t / 500)).astype(float)


def sequential(runs: int, answers: int) -> Iterator[bool]:
    """Canaries no worse than tolerated, looked at after every answer: how often one is withdrawn."""
    agree()
    nulls: dict[str, tuple[float, float, Stream]] = {
        "accuracy 0.8, share 0.1": (0.1, 0.0, right(0.8)),
        "accuracy 0.8, share 0.5": (0.5, 0.0, right(0.8)),
        "errors 1 %, share 0.1": (0.1, 0.0, right(0.99)),
        "as bad as tolerated, 5 points, share 0.2": (0.2, 0.05, tolerated),
        "grades, share 0.2": (0.2, 0.0, lambda r, c, t: r.beta(0.5, 0.5, len(c))),
        "accuracy that drifts, share 0.2": (0.2, 0.0, drifting),
    }
    for number, (name, (share, tolerance, draw)) in enumerate(nulls.items()):
        random = np.random.default_rng(500 + number)
        crowd = Crowd(runs=runs, tolerance=tolerance)
        for t in range(answers):
            stream = (random.random(runs) >= share).astype(np.int64)
            crowd.update(stream, draw(random, stream, t))
        withdrawn = int((crowd.best >= math.log(1 / ALPHA)).sum())
        yield told(f"canary, {name}, {answers:,} answers: false rollback", withdrawn, runs, most=ALPHA)


def agree() -> None:
    """The crowd does what `Difference` does."""
    random = np.random.default_rng(0)
    crowd, single = Crowd(runs=3, tolerance=0.02), [Difference(tolerance=0.02) for _ in range(3)]
    for _ in range(2000):
        stream, scores = (random.random(3) >= 0.3).astype(np.int64), random.beta(2, 1, 3)
        crowd.update(stream, scores)
        for watch, which, score in zip(single, stream, scores, strict=True):
            watch.update((Role.CANARY, Role.STABLE)[which], float(score))
    assert np.allclose(crowd.logs, [watch.worse.logs for watch in single])


def quantiles(runs: int, answers: int) -> Iterator[bool]:
    """Equal latencies in 24 buckets, looked at after every answer: how often the canary's 95th percentile seems worse."""
    random = np.random.default_rng(600)
    edges = np.quantile(random.lognormal(0, 0.5, 100_000), np.linspace(0.5, 0.999, 24))
    below, n = np.zeros((2, runs, len(edges) + 1)), np.zeros((2, runs))
    best, rows = np.zeros(runs), np.arange(runs)
    for _ in range(answers):
        stream = (random.random(runs) >= 0.3).astype(np.int64)
        n[stream, rows] += 1
        below[stream, rows] += np.append(edges, np.inf)[None, :] > random.lognormal(0, 0.5, runs)[:, None]
        over = share_tests(below[0], n[0][:, None, None], 0.95)[0]
        under = share_tests(below[1], n[1][:, None, None], 0.95)[1]
        start = share_tests(np.zeros((runs, 1)), n[1][:, None, None], 0.95)[1]
        best = np.maximum(best, (over + np.concatenate([start, under[:, :-1]], axis=1)).min(axis=1))
    wrong = int((best >= math.log(1 / ALPHA)).sum())
    yield told(f"canary, equal latencies, {answers:,} answers: false rollback", wrong, runs, most=ALPHA)


def main() -> int:
    """Run the parts that are asked for; 1 if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--only", choices=["compare", "holm", "gates", "power", "sequential", "quantiles"])
    asked = parser.parse_args()
    parts: dict[str, Callable[[], Iterator[bool]]] = {
        "compare": lambda: comparisons(asked.simulations),
        "holm": lambda: holm(asked.simulations),
        "gates": lambda: gates(asked.simulations),
        "power": lambda: power(asked.simulations),
        "sequential": lambda: sequential(asked.runs, asked.answers),
        "quantiles": lambda: quantiles(min(asked.runs, 2000), min(asked.answers, 1000)),
    }
    held = []
    for name, part in parts.items():
        if asked.only in (None, name):
            began, cpu = time.monotonic(), time.process_time()
            held += list(part())
            print(f"    {name}: {time.monotonic() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU", flush=True)
    print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
