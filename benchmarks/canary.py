"""How many bad answers a canary serves before it is withdrawn by itself, beside a test that waits for a fixed number.

Each run feeds answers one by one to the comparison and the judge that a gateway runs, which look after every answer of
the canary. The fixed test is the two-proportion z test at the same alpha with the same power, looked at once. With an
effect of 0 the canary is no worse, and every withdrawal is a false one.

    python benchmarks/canary.py --runs 200                       the table (about 10 minutes on two cores)
    python benchmarks/canary.py --null 10000 --answers 10000     false withdrawals, looking after every answer
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

from kedge.core.release import Role
from kedge.core.rollout import Rollout, RolloutPlan, RolloutStep
from kedge.core.trace import Trace
from kedge.deploy.judge import Action, judge
from kedge.monitor.compare import Comparison, each

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One setting: the stable bundle is right `base` of the time, the canary `effect` less, and gets `share`."""

    base: float
    effect: float
    share: float
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run ended: withdrawn or not, after how many answers of the canary, and how many of them were bad."""

    withdrawn: bool
    canary: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the runs of one cell say, and what a fixed test of the same power would have served."""

    base: float
    effect: float
    share: float
    runs: int
    withdrawn: float
    canary_median: float
    bad_median: float
    bad_p95: float
    fixed_canary: int
    fixed_bad: float
    times_fewer: float


def make_rollout(share: float) -> Rollout:
    """A canary whose quality is watched, held for ever."""
    plan = RolloutPlan(
        steps=(RolloutStep(share=share, hold="365d"),), quality=("exact_match",), errors=False, latency=0.0
    )
    return Rollout(
        id="run",
        endpoint="words",
        model="words",
        alias="production",
        version=2,
        bundle=NEW,
        before=1,
        before_bundle=OLD,
        plan=plan,
        started=START,
        by="benchmark",
        step_at=START,
    )


def make_trace(role: Role, right: bool) -> Trace:
    """An answer that is right or wrong."""
    return Trace(
        id="0" * 32,
        at=START.timestamp(),
        endpoint="words",
        bundle=NEW if role is Role.CANARY else OLD,
        key="key",
        route="/v1/completions",
        status=200,
        answer="right" if right else "wrong",
        role=role,
    )


TRACES = {(role, right): make_trace(role, right) for role in (Role.CANARY, Role.STABLE) for right in (True, False)}


def play(cell: Cell, seed: int) -> Outcome:
    """One run, up to the withdrawal or the last answer."""
    draw = random.Random(f"{cell} {seed}")
    rollout = make_rollout(cell.share)
    comparison = Comparison(rollout, {"exact_match": each(lambda trace: float(trace.answer == "right"))})
    right = {Role.CANARY: cell.base - cell.effect, Role.STABLE: cell.base}
    bad = 0
    for _ in range(cell.answers):
        role = Role.CANARY if draw.random() < cell.share else Role.STABLE
        good = draw.random() < right[role]
        comparison.take(TRACES[role, good])
        if role is not Role.CANARY:
            continue
        bad += not good
        decision = judge(rollout, comparison.readings(), answers=comparison.answers, now=NOW)
        if decision.action is Action.WITHDRAW:
            return Outcome(withdrawn=True, canary=comparison.answers, bad=bad)
    return Outcome(withdrawn=False, canary=comparison.answers, bad=bad)


def fixed_size(cell: Cell, *, alpha: float, power: float) -> int:
    """How many answers of the canary the one-sided two-proportion z test needs when it gets `share` of the traffic."""
    old, new = cell.base, cell.base - cell.effect
    ratio = (1 - cell.share) / cell.share  # answers of the stable bundle to one of the canary
    pooled = (new + ratio * old) / (1 + ratio)
    normal = NormalDist()
    under_null = normal.inv_cdf(1 - alpha) * math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    under_effect = normal.inv_cdf(power) * math.sqrt(new * (1 - new) + old * (1 - old) / ratio)
    return math.ceil(((under_null + under_effect) / cell.effect) ** 2)


def sum_up(cell: Cell, outcomes: Sequence[Outcome], alpha: float) -> Line:
    """A cell's line of the table."""
    withdrawn = [outcome for outcome in outcomes if outcome.withdrawn]
    power = len(withdrawn) / len(outcomes)
    bad = sorted(outcome.bad for outcome in outcomes)
    fixed = fixed_size(cell, alpha=alpha, power=min(max(power, 0.5), 0.99)) if cell.effect else 0
    fixed_bad = fixed * (1 - cell.base + cell.effect)
    median = statistics.median(bad)
    return Line(
        base=cell.base,
        effect=cell.effect,
        share=cell.share,
        runs=len(outcomes),
        withdrawn=power,
        canary_median=statistics.median(outcome.canary for outcome in outcomes),
        bad_median=median,
        bad_p95=bad[math.ceil(0.95 * len(bad)) - 1],
        fixed_canary=fixed,
        fixed_bad=fixed_bad,
        times_fewer=fixed_bad / median if median else 0.0,
    )


def run_cell(cell: Cell, runs: int, processes: int) -> list[Outcome]:
    """Every run of a cell."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.starmap(play, [(cell, seed) for seed in range(runs)], chunksize=max(runs // (8 * processes), 1))


def draw(line: Line) -> str:
    """A line of the table."""
    return (
        f"{line.base:6.0%} {line.effect:7.0%} {line.share:6.0%} {line.withdrawn:10.1%} {line.canary_median:8.0f} "
        f"{line.bad_median:8.0f} {line.bad_p95:8.0f} {line.fixed_canary:8d} {line.fixed_bad:8.0f} {line.times_fewer:6.1f}x"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or the rate of false withdrawals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--base", type=float, nargs="+", default=[0.9])
    parser.add_argument("--effects", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.2, 0.5])
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--null", type=int, default=0, metavar="RUNS", help="runs in which the canary is no worse")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    started, alpha = time.monotonic(), RolloutPlan(steps=(RolloutStep(share=0.5),)).alpha
    if given.null:
        cells = [Cell(base=base, effect=0.0, share=0.5, answers=given.answers) for base in given.base]
        runs = given.null
    else:
        cells = [
            Cell(base=base, effect=effect, share=share, answers=given.answers)
            for base in given.base
            for effect in given.effects
            for share in given.shares
        ]
        runs = given.runs
    if not given.json:
        print("  base  effect  share  withdrawn  answers      bad   bad95    fixed  its bad  fewer")
    for cell in cells:
        line = sum_up(cell, run_cell(cell, runs, given.processes), alpha)
        print(json.dumps(asdict(line)) if given.json else draw(line), flush=True)
    if not given.json:
        print(f"alpha {alpha}; {runs} runs a line; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
